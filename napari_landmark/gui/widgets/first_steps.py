"""Three ways to begin, shown while no study is open."""

from __future__ import annotations

from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from napari_landmark.gui.controls import note


class FirstSteps(QWidget):
    """Buttons that begin work, one a line, each with what it does.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layout = QGridLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setColumnStretch(1, 1)
        self.notes = [note(), note(), note()]
        for row, text in enumerate(self.notes):
            self._layout.addWidget(text, row, 1)

    def take(self, buttons: tuple[QPushButton, QPushButton, QPushButton]) -> None:
        """Show the buttons, which may come from another layout, before their lines."""
        for row, button in enumerate(buttons):
            self._layout.addWidget(button, row, 0)
