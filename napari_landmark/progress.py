"""Report the progress of long work, and ask it to stop; free of torch, so that a window opens without it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


class Cancelled(Exception):
    """Long work stopped because its `CancelToken` was set, and has no result."""


class CancelToken:
    """Request to long work to stop at the next good moment; safe to set from any thread or signal handler."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Request the stop."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether the stop was requested."""
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` if the stop was requested."""
        if self.cancelled:
            raise Cancelled("stopped on request")


@dataclass(frozen=True)
class ProgressEvent:
    """State of long work.

    Parameters
    ----------
    stage : str
        Current stage, as shown to the user.
    fraction : float
        Done part of this stage, 0..1.
    seconds_left : float or None
        Estimate for this stage.
    loss : float or None
        Smoothed training loss.
    step : int
        Number of steps, or of images, done in this stage.
    overtime : bool
        Whether the stage takes longer than it was given, until enough is learned.
    """

    stage: str
    fraction: float
    seconds_left: float | None = None
    loss: float | None = None
    step: int = 0
    overtime: bool = False


Progress = Callable[[ProgressEvent], None]
"""Called with the state of long work, now and then and from its own thread; an exception from it ends the work."""
