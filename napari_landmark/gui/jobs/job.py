"""Long work in a thread: progress, cancelling, and what to tell when it fails."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Signal

from napari_landmark.data.errors import InputError
from napari_landmark.gui.wording import word
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

logger = logging.getLogger(__name__)

Work = Callable[[Progress, CancelToken], Any]
"""Does something long; reports to the first and asks the second, now and then, whether to stop."""


SMALLER = (
    "Choose a smaller 'Working resolution' in Train > Advanced and close other programs, then train again."
)


class Job(QObject):
    """Something long that runs in a thread while the viewer stays usable.

    The work polls its token and returns normally when it is asked to stop, so that it can put away what
    it has. All signals reach the main thread, which alone may touch layers and widgets.

    Parameters
    ----------
    title : str
        What is done, for the person: 'Training'.
    work : callable
        Runs in the thread; must touch neither widgets nor layers.
    smaller : str, optional
        What a person can do where memory does not suffice.
    """

    progressed = Signal(object)
    """A `ProgressEvent`."""
    shown = Signal(object)
    """Whatever the work wants to show on the way, sent with `show`."""
    succeeded = Signal(object)
    """What the work returned."""
    failed = Signal(str)
    """Why it could not be done, to be shown as it is."""
    cancelling = Signal()
    """The end was asked for."""
    ended = Signal()
    """Last of all, however it ended."""

    def __init__(self, title: str, work: Work, *, smaller: str = SMALLER) -> None:
        super().__init__()
        self.title = title
        self.last_event: ProgressEvent | None = None
        self._work, self._smaller = work, smaller
        self._token = CancelToken()
        self._finished = threading.Event()
        self._worker: Any = None
        self.progressed.connect(self._remember)

    def start(self) -> None:
        """Begin, in napari's pool of workers, so that napari asks before it closes the window."""
        self._worker = create_worker(self._run, _start_thread=False, _progress={"desc": self.title})
        self._worker.returned.connect(self._on_returned)
        self._worker.start()

    def cancel(self) -> None:
        """Ask the work to stop at the next good moment."""
        if not self._token.cancelled:
            self._token.cancel()
            self.cancelling.emit()

    @property
    def cancelled(self) -> bool:
        """Whether the end was asked for."""
        return self._token.cancelled

    def show(self, something: object) -> None:
        """Called by the work, in its thread."""
        self.shown.emit(something)

    def wait(self, seconds: float) -> bool:
        """Wait for the thread to end, without the signals being handled; whether it did."""
        return self._finished.wait(seconds)

    def _run(self) -> tuple[Any, BaseException | None]:
        # While the work computes in Python, the window gets its turn five times as often as by default.
        usual = sys.getswitchinterval()
        sys.setswitchinterval(min(usual, 0.001))
        try:
            return self._work(self.progressed.emit, self._token), None
        except Exception as error:  # whatever happens in the thread, a person is told of it
            if not isinstance(error, InputError):
                logger.exception("%s failed", self.title)
            return None, error
        finally:
            sys.setswitchinterval(usual)
            self._finished.set()

    def _on_returned(self, outcome: tuple[Any, BaseException | None]) -> None:
        result, error = outcome
        self._worker = None
        # Ended before the result is told, so that whoever hears of it can begin the next work.
        self.ended.emit()
        if error is None:
            self.succeeded.emit(result)
        else:
            self.failed.emit(explain(error, self._smaller))

    def _remember(self, event: ProgressEvent) -> None:
        self.last_event = event


def explain(error: BaseException, smaller: str = SMALLER) -> str:
    """One line for the person: what happened and what to do."""
    if isinstance(error, InputError):
        return word(error)
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or "out of memory" in text.lower() or "can't allocate" in text.lower():
        return f"Out of memory. {smaller}"
    if isinstance(error, OSError):
        return f"{error.filename or 'A file'}: {error.strerror or error}"
    return f"{text}. This should not happen: please report it with the log (View > Toggle Console shows it)."


def time_left(event: ProgressEvent) -> str:
    """'2 min 10 s left', or nothing where it is not known."""
    if event.seconds_left is None or event.fraction >= 1:
        return ""
    minutes, seconds = divmod(round(event.seconds_left), 60)
    return f"{minutes} min {seconds:02d} s left" if minutes else f"{seconds} s left"
