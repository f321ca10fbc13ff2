"""The landmarks of the image at hand as rows: colour, name, and what is known of each."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, Status
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.base import Listener

_STATES = {
    Status.UNPLACED: "to place",
    Status.MISSING: "missing",
    Status.PLACED: "✓ placed",
    Status.PREDICTED: "predicted",
    Status.CORRECTED: "✓ corrected",
}


class LandmarkTable(Listener):
    """Clicking a row makes its landmark the one at hand."""

    picked = Signal(str)
    """A row was clicked: the name of its landmark."""

    def __init__(self, session: Session, *, with_errors: bool = False) -> None:
        super().__init__(session)
        self._with_errors = with_errors
        self.table = QTableWidget(0, 2)
        self.table.setHorizontalHeaderLabels(["Landmark", "State, may be off by" if with_errors else "State"])
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setIconSize(QSize(14, 14))
        self.table.setShowGrid(False)
        # Letters are keys of the viewer; the table would search its rows for them.
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(24)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.table.setMinimumHeight(90)
        self.table.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        self.table.cellClicked.connect(self._on_clicked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        for signal, slot in (
            (session.study_changed, self.refresh),
            (session.image_changed, self.refresh),
            (session.landmarks_changed, self._on_landmarks),
            (session.landmark_changed, self._on_landmark),
        ):
            self.listen(signal, slot)
        self.refresh()

    def refresh(self) -> None:
        """Show the landmarks of the image at hand."""
        session = self.session
        if not session.current_image or session.schema is None:
            self.table.setRowCount(0)
            return
        schema, result, geometry = session.schema, session.result(), session.geometry()
        if self.table.rowCount() != len(schema):
            self.table.setRowCount(len(schema))
        for row, mark in enumerate(result.values()):
            name = QTableWidgetItem(mark.name)
            name.setIcon(swatch(schema.colors[row]))
            name.setToolTip(schema.definitions[row] or mark.name)
            self.table.setItem(row, 0, name)
            self.table.setItem(row, 1, QTableWidgetItem(self._state(mark, geometry)))
        self._on_landmark()

    def _state(self, mark: Landmark, geometry: Geometry) -> str:
        text = _STATES[mark.status]
        if self._with_errors and mark.status is Status.PREDICTED and mark.expected_error is not None:
            text += f", ±{length(mark.expected_error, geometry)}"
        return text

    def _on_landmarks(self, image: str) -> None:
        if image == self.session.current_image:
            self.refresh()

    def _on_landmark(self) -> None:
        schema = self.session.schema
        if schema is not None and self.session.current_landmark in schema:
            row = schema.index(self.session.current_landmark)
            self.table.selectRow(row)
            if self.table.item(row, 0) is not None:
                self.table.scrollToItem(self.table.item(row, 0))

    def _on_clicked(self, row: int, column: int) -> None:
        name = self.table.item(row, 0).text()
        self.session.select_landmark(name)
        self.picked.emit(name)


def swatch(color: str) -> QIcon:
    """A square of a colour."""
    picture = QPixmap(14, 14)
    picture.fill(QColor(color))
    return QIcon(picture)


def length(pixels: float, geometry: Geometry) -> str:
    """A length of an image for people: in millimetres where the spacing is known."""
    if geometry.mean_spacing is None:
        return f"{pixels:.1f} px"
    return f"{pixels * geometry.mean_spacing:.1f} mm"
