"""Text that changes several times a second."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPlainTextEdit

_LINES = 2


class LiveText(QPlainTextEdit):
    """Plain text on two lines, to be read and copied, at the same place whatever it says.

    A label asks for a new layout of the whole window with each text, which takes some milliseconds.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setFrameStyle(0)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        for policy in (self.setHorizontalScrollBarPolicy, self.setVerticalScrollBarPolicy):
            policy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setStyleSheet("QPlainTextEdit { background: transparent; border: none; padding: 0px; }")
        self.setAccessibleName(name)
        if (document := self.document()) is not None:
            document.setDocumentMargin(1)
        self.setFixedHeight(_LINES * self.fontMetrics().lineSpacing() + 4)

    def text(self) -> str:
        """The text."""
        return str(self.toPlainText())

    def show_text(self, text: str) -> None:
        """Show a text from its beginning, and as the tool tip where it is too long for the lines."""
        if text == self.text():
            return
        self.setPlainText(text)
        # Words that move to the next line leave room free.
        fits = 1.15 * self.fontMetrics().horizontalAdvance(text) <= _LINES * self.width()
        self.setToolTip("" if fits else text)
