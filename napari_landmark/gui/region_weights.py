"""A table of how much each labelled region counts."""

from __future__ import annotations

from collections.abc import Iterable

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
            spin.setValue(self._given.get(label, 1.0))
            spin.valueChanged.connect(lambda value, label=label: self._given.__setitem__(label, value))
            self._spins[label] = spin
            self.setCellWidget(row, 1, spin)
        self.setVisible(bool(wanted))

    def weights(self) -> dict[int, float]:
        """The weights that are not 1."""
        return {label: spin.value() for label, spin in self._spins.items() if spin.value() != 1.0}
