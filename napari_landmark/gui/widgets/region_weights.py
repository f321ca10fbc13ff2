"""Table of the loss weight of each labelled region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QAbstractItemView, QDoubleSpinBox, QTableWidget, QTableWidgetItem

from napari_landmark.gui.controls import set_headers


class RegionWeights(QTableWidget):
    """One row for each label; a weight that the user gave stays while the label maps change."""

    def __init__(self) -> None:
        super().__init__(0, 2)
        self.setHorizontalHeaderLabels(["Label", "Weight"])
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setShowGrid(False)
        self.setAccessibleName("Weights of the labels")
        set_headers(self, stretched=0, row_height=28)
        self.setToolTip(
            "Weight of each region in the loss: 1 is usual, 0 leaves it out, with 5 it has five times the weight"
        )
        self.setMaximumHeight(150)
        self._given: dict[int, float] = {}
        self._usual: dict[int, float] = {}
        self._spins: dict[int, QDoubleSpinBox] = {}
        self.setVisible(False)  # until there are labels

    @property
    def labels(self) -> tuple[int, ...]:
        """Labels in the table."""
        return tuple(self._spins)

    def show_labels(self, labels: Iterable[int]) -> None:
        """Show rows for these labels."""
        wanted = sorted({int(label) for label in labels} - {0})
        if tuple(wanted) == self.labels:
            return
        self.setRowCount(0)
        self._spins.clear()
        self.setRowCount(len(wanted))
        for row, label in enumerate(wanted):
            self.setItem(row, 0, QTableWidgetItem(f"Label {label}"))
            spin = QDoubleSpinBox()
            spin.setAccessibleName(f"Weight of label {label}")
            spin.setRange(0, 100)
            spin.setSingleStep(0.5)
            spin.setValue(self._value(label))
            spin.valueChanged.connect(lambda value, label=label: self._given.__setitem__(label, value))
            self._spins[label] = spin
            self.setCellWidget(row, 1, spin)
        self.setVisible(bool(wanted))

    def start_from(self, usual: Mapping[int, float]) -> None:
        """Set the weights of labels that the user gave none, such as those of a model; 1 for the others."""
        self._usual = dict(usual)
        for label, spin in self._spins.items():
            with QSignalBlocker(spin):  # not a weight that the user gave
                spin.setValue(self._value(label))

    def weights(self) -> dict[int, float]:
        """Weights of the labels in the table for which the user or the model gave one."""
        given = self._given.keys() | self._usual.keys()
        return {label: self._value(label) for label in self._spins if label in given}

    def _value(self, label: int) -> float:
        return self._given.get(label, self._usual.get(label, 1.0))
