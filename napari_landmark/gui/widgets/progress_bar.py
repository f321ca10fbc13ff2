"""Progress bar that is drawn in a turn of the event loop of its own."""

from __future__ import annotations

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QProgressBar

_STEPS = 1000


class ProgressBar(QProgressBar):
    """Progress bar for many reports a second.

    The one of Qt draws itself at once with each value: some milliseconds, for which the window answers nobody, and
    with two bars twice as long.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setRange(0, _STEPS)
        self._shown: tuple[float, str | None] | None = None

    def show_part(self, fraction: float, text: str | None = None) -> None:
        """Show the done part, 0..1, and a text where one is given."""
        self._shown = fraction, text
        if not self.isVisible():  # it would lay the window out as well; see `showEvent`
            return
        value = round(_STEPS * fraction)
        if value == self.value() and text in (None, self.format()):
            return
        self.setUpdatesEnabled(False)
        try:
            self.setValue(value)
            if text is not None:
                self.setFormat(text)
        finally:
            self.setUpdatesEnabled(True)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Draw the progress that was made while the bar was hidden."""
        super().showEvent(event)
        if self._shown is not None:
            self.show_part(*self._shown)
