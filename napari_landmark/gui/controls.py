"""Small Qt parts that widgets and dialogs share: buttons, notes that wrap, error text, colour swatches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QCursor, QIcon, QPixmap
from qtpy.QtWidgets import QApplication, QComboBox, QHeaderView, QLabel, QPushButton, QSizePolicy, QTableView

NARROWEST = 390
"""Least width of a dock in pixels."""
_NARROWEST_CHOICE = 80


def button(text: str, slot: Callable[[], object], *, tip: str = "", strong: bool = False) -> QPushButton:
    """Make a push button; a strong one marks the usual next step."""
    made = QPushButton(text)
    made.setToolTip(tip)
    made.clicked.connect(lambda: slot())
    if strong:
        emphasise(made)
    return made


@contextmanager
def wait_cursor() -> Iterator[None]:
    """Context in which the mouse says that the program works, such as while a volume is read."""
    if QApplication.instance() is None:
        yield
        return
    QApplication.setOverrideCursor(QCursor(Qt.CursorShape.WaitCursor))
    try:
        yield
    finally:
        QApplication.restoreOverrideCursor()


def narrow_combo(*, tip: str = "") -> QComboBox:
    """Make a combo box that does not become as wide as its longest text, such as the name of a file."""
    made = QComboBox()
    made.setToolTip(tip)
    made.setMinimumContentsLength(12)
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return made


def emphasise(widget: QPushButton, on: bool = True) -> None:
    """Make a button stand out, in the dark and in the light theme."""
    widget.setStyleSheet(
        "QPushButton { background-color: #0d6efd; color: white; font-weight: bold; padding: 6px; }"
        "QPushButton:hover { background-color: #3b8bff; }"
        "QPushButton:disabled { background-color: #6c757d; color: #d0d0d0; }"
        if on
        else ""
    )


def narrow_choice(name: str) -> QComboBox:
    """Make a combo box, of that name for screen readers, that becomes narrower than its longest entry."""
    made = QComboBox()
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumWidth(_NARROWEST_CHOICE)
    made.setStyleSheet("QComboBox { padding: 3px 0px 3px 5px; }")  # room for the text
    made.setAccessibleName(name)
    return made


def problem_text(text: str) -> str:
    """Format an error message as rich text that is readable in both themes."""
    return f"<span style='color:#e5484d'>⚠ <b>{escape(text)}</b></span>"


def swatch(color: str) -> QIcon:
    """Make an icon of one colour, '#rrggbb'."""
    picture = QPixmap(14, 14)
    picture.fill(QColor(color))
    return QIcon(picture)


def set_headers(view: QTableView, *, stretched: int, row_height: int | None = None) -> None:
    """Hide the row headers of a table and let one column take the free width.

    Parameters
    ----------
    view : QTableView
    stretched : int
        Number of the column.
    row_height : int, optional
        In pixels.
    """
    rows, columns = view.verticalHeader(), view.horizontalHeader()
    if rows is None or columns is None:  # Qt makes both; its types do not say so
        return
    rows.hide()
    if row_height is not None:
        rows.setDefaultSectionSize(row_height)
    columns.setSectionResizeMode(stretched, QHeaderView.ResizeMode.Stretch)


class _Note(QLabel):
    """A label that asks for the height it needs in a dock; Qt would guess one for a narrower column, twice as high."""

    def sizeHint(self) -> QSize:
        """Size of the text in the narrowest dock."""
        usual, needed = super().sizeHint(), self.heightForWidth(NARROWEST - 30)
        return usual if needed < 0 else QSize(usual.width(), needed)  # below 0: there is no text

    def minimumSizeHint(self) -> QSize:
        """Height of `sizeHint`, any width."""
        return QSize(0, self.sizeHint().height())


def note(text: str = "") -> QLabel:
    """Make a label whose rich text wraps and keeps its height."""
    label = _Note(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label
