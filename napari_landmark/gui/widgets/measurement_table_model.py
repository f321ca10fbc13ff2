"""Table model of the measurements of the current image."""

from __future__ import annotations

from html import escape
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtGui import QColor

from napari_landmark.gui.session.measurements import Measurements
from napari_landmark.gui.widgets.table_view import WIDEST_TEXTS
from napari_landmark.measurement.evaluation import MeasuredValue
from napari_landmark.measurement.value_text import (
    class_text,
    deviation_text,
    error_text,
    norm_source_text,
    norm_text,
    stars,
    value_text,
)

_TITLES = ("Measurement", "Value ± (90%)", "Deviation", "Norm", "Class")
_DEVIATION = 2
_TIPS = (
    "",
    "± is half the interval that holds the true value in 9 of 10 images, from the expected errors of the landmarks. "
    "*: of the predicted landmarks alone",
    "From the norm in its standard deviations (SD); one star for each",
    "Mean ± standard deviation, or range",
    "In parentheses: the interval reaches other classes as well",
)
_COLORS = {2: "#e0a030", 3: "#e5484d"}


class MeasurementTableModel(QAbstractTableModel):
    """Rows are the measurements of the study; columns are name, value with error, deviation, norm and class.

    Parameters
    ----------
    measurements : Measurements
    """

    def __init__(self, measurements: Measurements) -> None:
        super().__init__()
        self._measurements = measurements
        self._values: tuple[MeasuredValue, ...] = ()
        self._texts: list[tuple[str, ...]] = []

    def update(self) -> None:
        """Take over the values of the current image; rows stay where the definitions are the same."""
        values = self._measurements.current()
        texts = [_texts(one) for one in values]
        same = [one.measurement for one in values] == [one.measurement for one in self._values]
        if not same:
            self.beginResetModel()
            self._values, self._texts = values, texts
            self.endResetModel()
            return
        changed = [row for row, (old, new) in enumerate(zip(self._texts, texts, strict=True)) if old != new]
        self._values, self._texts = values, texts
        if changed:
            self.dataChanged.emit(self.index(changed[0], 1), self.index(changed[-1], len(_TITLES) - 1))

    @property
    def values(self) -> tuple[MeasuredValue, ...]:
        """Values in the order of the rows."""
        return self._values

    def value(self, row: int) -> MeasuredValue | None:
        """Value of a row; None without one."""
        return self._values[row] if 0 <= row < len(self._values) else None

    def row(self, name: str) -> int:
        """Row of a measurement; -1 where it has none."""
        names = [one.measurement.name for one in self._values]
        return names.index(name) if name in names else -1

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008  the signature of Qt
        """Number of measurements."""
        return 0 if parent.isValid() else len(self._values)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008  the signature of Qt
        """Five."""
        return 0 if parent.isValid() else len(_TITLES)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, colour or tool tip of a cell."""
        one = self._values[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._texts[index.row()][index.column()]
        if role == Qt.ItemDataRole.ForegroundRole:
            if one.value is None:
                return QColor("#888888")
            size = 0 if one.deviation is None else min(3, int(abs(one.deviation)))
            return QColor(_COLORS[size]) if index.column() == _DEVIATION and size in _COLORS else None
        return about(one) if role == Qt.ItemDataRole.ToolTipRole else None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Title and tool tip of a column, and its `WIDEST_TEXTS`."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return _TITLES[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            return _TIPS[section] or None
        if role == WIDEST_TEXTS:
            return () if section == 0 else {*(texts[section] for texts in self._texts), _TITLES[section]}
        return None


def about(one: MeasuredValue) -> str:
    """Definition, class, norm and reason of a value as rich text."""
    definition = one.measurement
    parts = [f"<b>{escape(definition.name)}</b> {escape(definition.text)}"]
    if definition.source:
        parts.append(f"<i>{escape(definition.source)}</i>")
    if one.class_name:
        parts.append(f"Class: <b>{escape(class_text(one))}</b>")
    if source := norm_source_text(one.norm):
        parts.append(f"Norm: {escape(norm_text(one.norm, definition))} ({escape(source)})")
    elif definition.norms:
        parts.append("The norm depends on the sex: give it in the facts of the image (column 'sex').")
    if one.left_out:
        parts.append(f"Not computed: {escape(one.left_out)}")
    if one.note:
        parts.append(escape(one.note))
    return "<br>".join(parts)


def _texts(one: MeasuredValue) -> tuple[str, ...]:
    return (
        one.measurement.name,
        f"{value_text(one)} {error_text(one)}".strip(),
        f"{deviation_text(one)} {stars(one)}".strip(),
        norm_text(one.norm, one.measurement),
        class_text(one),
    )
