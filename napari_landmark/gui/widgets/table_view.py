"""Read-only Qt view in which one whole row is selected, by the mouse or by the arrow keys."""

from __future__ import annotations

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QKeyEvent, QResizeEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QSizePolicy, QTableView

from napari_landmark.gui.controls import set_headers

WIDEST_TEXTS = Qt.ItemDataRole.UserRole + 1
"""Role of a column's header data: texts among which is the widest one of the column."""
_ENDS = (Qt.Key.Key_Home, Qt.Key.Key_End)
_STEPS = (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown, *_ENDS)
_ACROSS = (Qt.Key.Key_Left, Qt.Key.Key_Right)
_LEAST_ROWS = 4.5  # that are shown: with the theme of napari the header is a little higher
_MARGIN = 8  # around the text of a cell: that of Qt, and of the styles of napari


class TableView(QTableView):
    """View of a table model: the first column takes the free width, the others fit their text.

    Parameters
    ----------
    model : QAbstractTableModel
        Must say its `WIDEST_TEXTS`, so that no row is asked for its size.
    row_height : int
        In pixels.
    narrowest : int, optional
        Least width of the first column in pixels: where the others leave less, the view scrolls.
    """

    chosen = Signal(QModelIndex)
    """A row was clicked, or reached by a key."""

    def __init__(self, model: QAbstractTableModel, *, row_height: int, narrowest: int = 0) -> None:
        super().__init__()
        self.clicked.connect(self.chosen)
        self.setModel(model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        columns = self.horizontalHeader()
        if columns is not None:
            columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        set_headers(self, stretched=0, row_height=row_height)
        self._narrowest = narrowest
        if narrowest and columns is not None:
            columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Fixed)
            columns.resizeSection(0, narrowest)
            columns.sectionResized.connect(self._on_section_resized)
        head = 0 if columns is None else columns.sizeHint().height()
        self.setMinimumHeight(head + round(_LEAST_ROWS * row_height) + 2 * self.frameWidth())
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)

    def sizeHintForColumn(self, column: int) -> int:
        """Width in pixels of the widest text of a column."""
        model = self.model()
        texts = None if model is None else model.headerData(column, Qt.Orientation.Horizontal, WIDEST_TEXTS)
        return (
            max((self.fontMetrics().horizontalAdvance(text) for text in texts or ()), default=0) + 2 * _MARGIN
        )

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Go through the rows by arrow keys; all others are keys of the viewer, even letters that rows begin with."""
        if event is None:
            return
        if event.key() in _STEPS and not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            before, model = self.currentIndex().row(), self.model()
            if event.key() in _ENDS and model is not None:  # Qt goes to the first and the last column
                self.select(0 if event.key() == Qt.Key.Key_Home else model.rowCount() - 1)
            else:
                super().keyPressEvent(event)
            if self.currentIndex().row() != before:
                self.chosen.emit(self.currentIndex())
        elif event.key() in (*_STEPS, *_ACROSS):
            event.accept()  # they would move the landmark on the canvas, where the user means the list
        else:
            event.ignore()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Give the first column the width that is free now."""
        super().resizeEvent(event)
        self._fit_first_column()

    def _on_section_resized(self, column: int, old: int, new: int) -> None:
        if column:
            self._fit_first_column()

    def _fit_first_column(self) -> None:
        columns, viewport = self.horizontalHeader(), self.viewport()
        if self._narrowest and columns is not None and viewport is not None:
            others = columns.length() - columns.sectionSize(0)
            columns.resizeSection(0, max(self._narrowest, viewport.width() - others))

    def select(self, row: int) -> None:
        """Select a row and scroll to it."""
        model = self.model()
        if model is not None and 0 <= row < model.rowCount():
            self.selectRow(row)
            self.scrollTo(model.index(row, 0))
