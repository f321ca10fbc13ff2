"""How long work reports where it stands and is asked to stop; free of torch, so that a window opens without it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


class CancelToken:
    """Asks long work to stop at the next good moment; safe to set from any thread or signal handler."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask for the end."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether the end was asked for."""
        return self._event.is_set()


@dataclass(frozen=True)
class ProgressEvent:
    """Where long work stands.

    Parameters
    ----------
    stage : str
        What is being done, for a person.
    fraction : float
        Done part of this stage, 0..1.
    seconds_left : float or None
        Estimate for this stage.
    loss : float or None
        Smoothed training loss.
    step : int
    """

    stage: str
    fraction: float
    seconds_left: float | None = None
    loss: float | None = None
    step: int = 0


Progress = Callable[[ProgressEvent], None]
