"""Line of text that changes several times a second."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit


class LiveText(QLineEdit):
    """Plain text on one line, to be read and copied, at the same place whatever it says.

    A label asks for a new layout of the whole window with each text, which takes some milliseconds.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setFrame(False)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setStyleSheet("QLineEdit { background: transparent; border: none; padding: 0px; }")
        self.setAccessibleName(name)

    def show_text(self, text: str) -> None:
        """Show a text from its beginning, and as the tool tip where it is too long for the line."""
        if text == self.text():
            return
        self.setText(text)
        self.setCursorPosition(0)
        fits = self.fontMetrics().horizontalAdvance(text) <= self.width()
        self.setToolTip("" if fits else text)
