"""A table of how much each labelled region counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qtpy.QtWidgets import QAbstractItemView, QDoubleSpinBox, QHeaderView, QTableWidget, QTableWidgetItem


class RegionWeights(QTableWidget):
    """One row for each label; what a person gave a label stays while other labels come and go."""

    def __init__(self) -> None:
        super().__init__(0, 2)
        self.setHorizontalHeaderLabels(["Label", "Counts"])
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setShowGrid(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(28)
        self.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.setToolTip(
            "How much each region counts: 1 is usual, 0 leaves it out, 5 makes it five times as important"
        )
        self.setMaximumHeight(150)
        self._given: dict[int, float] = {}
        self._usual: dict[int, float] = {}
        self._spins: dict[int, QDoubleSpinBox] = {}
        self.setVisible(False)  # until there are labels

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels in the table."""
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
            spin.setRange(0, 100)
            spin.setSingleStep(0.5)
            spin.setValue(self._value(label))
            spin.valueChanged.connect(lambda value, label=label: self._given.__setitem__(label, value))
            self._spins[label] = spin
            self.setCellWidget(row, 1, spin)
        self.setVisible(bool(wanted))

    def start_from(self, usual: Mapping[int, float]) -> None:
        """What labels count that the person gave no weight: those of a model, 1 for the others."""
        self._usual = dict(usual)
        for label, spin in self._spins.items():
            spin.blockSignals(True)  # it is not the person who gives it
            spin.setValue(self._value(label))
            spin.blockSignals(False)

    def weights(self) -> dict[int, float]:
        """The weights of the labels in the table for which the person or the model gave one."""
        said = self._given.keys() | self._usual.keys()
        return {label: self._value(label) for label in self._spins if label in said}

    def _value(self, label: int) -> float:
        return self._given.get(label, self._usual.get(label, 1.0))
