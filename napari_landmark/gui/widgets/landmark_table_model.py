"""Table model of the landmarks of the current image."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtGui import QIcon

from napari_landmark.calibration.corrections import REGION
from napari_landmark.data.error_covariance import radial_bound
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, Status
from napari_landmark.gui.controls import swatch
from napari_landmark.gui.session.region_coverage import region_factor
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.length_text import length_text
from napari_landmark.gui.widgets.table_view import WIDEST_TEXTS

_STATES = {
    Status.UNPLACED: "to place",
    Status.MISSING: "missing",
    Status.PLACED: "✓ placed",
    Status.PREDICTED: "predicted",
    Status.PREDICTED_MISSING: "not visible?",
    Status.CORRECTED: "✓ corrected",
}


class LandmarkTableModel(QAbstractTableModel):
    """Rows are the landmarks of the schema in its order; columns are the name and the state.

    Roles: text, colour swatch and definition of the name; text of the state and meaning of its expected error.

    Parameters
    ----------
    session : Session
    with_errors : bool, optional
        Whether the state of a prediction includes its expected error.
    """

    def __init__(self, session: Session, *, with_errors: bool = False) -> None:
        super().__init__()
        self._session = session
        self._with_errors = with_errors
        self._titles = ("Landmark", "State, expected error" if with_errors else "State")
        self._schema: LandmarkSchema | None = None
        self._rows: list[tuple[Landmark, str]] = []
        self._icons: dict[str, QIcon] = {}

    def update(self) -> None:
        """Take over the landmarks of the current image; only rows that differ are signalled as changed."""
        session = self._session
        schema = session.schema if session.current_image else None
        rows: list[tuple[Landmark, str]] = []
        if schema is not None:
            geometry = session.geometry()
            rows = [(mark, self._state(mark, geometry)) for mark in session.result().values()]
        if schema != self._schema or len(rows) != len(self._rows):
            self.beginResetModel()
            self._schema, self._rows = schema, rows
            self.endResetModel()
            return
        changed = [
            row for row, (old, new) in enumerate(zip(self._rows, rows, strict=True)) if old[1] != new[1]
        ]
        self._rows = rows
        for row in changed:
            self.dataChanged.emit(self.index(row, 1), self.index(row, 1))

    def name(self, row: int) -> str:
        """Name of the landmark of a row."""
        return self._rows[row][0].name

    def row(self, name: str) -> int:
        """Row of a landmark; -1 where it has none."""
        schema = self._schema
        return schema.index(name) if schema is not None and name in schema else -1

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008  the signature of Qt
        """Number of landmarks."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008  the signature of Qt
        """Two."""
        return 0 if parent.isValid() else len(self._titles)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, icon or tool tip of a cell."""
        mark, state = self._rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return mark.name if index.column() == 0 else state
        if index.column() == 1 and role == Qt.ItemDataRole.ToolTipRole and self._states_error(mark):
            return self._meaning(mark)
        if index.column() != 0 or self._schema is None:
            return None
        if role == Qt.ItemDataRole.DecorationRole:
            return self._icon(self._schema.colors[index.row()])
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._schema.definitions[index.row()] or mark.name
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Title of a column, and its `WIDEST_TEXTS`."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == WIDEST_TEXTS:
            return {state for _, state in self._rows} if section == 1 else ()
        return self._titles[section] if role == Qt.ItemDataRole.DisplayRole else None

    def _icon(self, color: str) -> QIcon:
        if color not in self._icons:
            self._icons[color] = swatch(color)
        return self._icons[color]

    def _states_error(self, mark: Landmark) -> bool:
        return self._with_errors and mark.status is Status.PREDICTED and mark.expected_error is not None

    def _state(self, mark: Landmark, geometry: Geometry) -> str:
        text = _STATES[mark.status] + (", covered" if mark.covered else "")
        if self._states_error(mark):
            text += f", about {length_text(mark.expected_error or 0.0, geometry)}"
        return text

    def _meaning(self, mark: Landmark) -> str:
        """What the expected error of a prediction says of a single one: it is a mean, and no bound."""
        geometry = self._session.geometry()
        text = f"About {length_text(mark.expected_error or 0.0, geometry)} off on average"
        if mark.covariance is None:
            return f"{text}; a single prediction may be off by more"
        factor = region_factor(self._session, mark.name)
        bound = length_text((factor or 1.0) * radial_bound(mark.covariance, REGION), geometry)
        told = "" if factor is None else " (one in ten, by your corrections)"
        return f"{text}, rarely over {bound}{told}"
