"""Dialog to define a curve: its name, the landmarks at its ends, the number of its semilandmarks."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_landmark.data.curves import Curve
from napari_landmark.data.errors import InputError
from napari_landmark.gui.controls import note, problem_text
from napari_landmark.gui.wording import word

_USUAL_COUNT = 10


class NewCurveDialog(QDialog):
    """Definition of one more curve.

    Parameters
    ----------
    names : sequence of str
        Landmarks that can be at its ends; names that its semilandmarks must not have.
    parent : QWidget, optional
    """

    def __init__(self, names: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Curve of semilandmarks")
        self._names = tuple(names)
        self.name = QLineEdit()
        self.name.setPlaceholderText("such as mandible_border")
        self.start, self.end = QComboBox(), QComboBox()
        for ends in (self.start, self.end):
            ends.addItems(self._names)
        self.end.setCurrentIndex(min(1, len(self._names) - 1))
        self.count = QSpinBox()
        self.count.setRange(1, 500)
        self.count.setValue(_USUAL_COUNT)
        self.problem = note()
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self._on_accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout()
        form.addRow("Name", self.name)
        form.addRow("From", self.start)
        form.addRow("To", self.end)
        form.addRow("Semilandmarks", self.count)
        layout = QVBoxLayout(self)
        layout.addWidget(
            note(
                "You draw the curve freely from one landmark to the other; its points are then spaced evenly along it."
            )
        )
        layout.addLayout(form)
        layout.addWidget(self.problem)
        layout.addWidget(buttons)
        self.resize(420, 200)

    def curve(self) -> Curve:
        """The curve; InputError where its name is empty or taken."""
        made = Curve(
            self.name.text().strip(), self.start.currentText(), self.end.currentText(), self.count.value()
        )
        taken = next((name for name in made.semilandmarks if name in self._names), None)
        if taken is not None:
            raise InputError(f"landmark {taken!r} is there already: choose another name for the curve")
        return made

    def _on_accept(self) -> None:
        try:
            self.curve()
        except InputError as error:
            self.problem.setText(problem_text(word(error)))
            return
        self.accept()
