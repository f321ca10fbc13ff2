"""Three ways to begin, shown while no study is open."""

from __future__ import annotations

from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from napari_landmark.gui.controls import note


class FirstSteps(QWidget):
    """Buttons that begin work, one a line, each with what it does.

    Parameters
    ----------
    buttons : three QPushButtons
    parent : QWidget, optional

    Attributes
    ----------
    notes : list of QLabel
        What each button does.
    """

    def __init__(
        self, buttons: tuple[QPushButton, QPushButton, QPushButton], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setColumnStretch(1, 1)
        self.notes = [note(), note(), note()]
        for row, (made, text) in enumerate(zip(buttons, self.notes, strict=True)):
            layout.addWidget(made, row, 0)
            layout.addWidget(text, row, 1)
