"""Long work in a thread: progress, cancellation, and the message of its failure."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Signal

from napari_landmark.data.errors import InputError
from napari_landmark.gui.jobs.responsiveness import responsive_window
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.wording import word
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

logger = logging.getLogger(__name__)

Work = Callable[[Progress, CancelToken], Any]
"""Function of the thread; reports to the first and polls the second for cancellation."""

MEMORY_ADVICE = (
    "Choose a smaller 'Working resolution' in Train > Advanced and close other programs, then train again."
)

TORCH_AFTER_QT = (
    "PyTorch does not load after the window's Qt on this system: its libraries want others of the same names. "
    'Start napari with PyTorch loaded first: python -c "import torch, napari; napari.Viewer(); napari.run()"'
)
"""What helps where Windows cannot load a library of torch (2.9 and newer) into a process that has Qt."""

WINDOWS_DLL_FAILED = 1114
"""ERROR_DLL_INIT_FAILED of Windows."""

PROGRESS_SECONDS = 0.2
"""Time between progress events: drawing a bar can take 30 ms, and each of 10,000 images reports."""


class Job(QObject):
    """Long work in a thread while the viewer stays usable.

    The work polls its token and returns normally when it is cancelled, so that it can save partial results.
    All signals reach the main thread, which alone may touch layers and widgets.

    Parameters
    ----------
    kind : JobKind
    work : callable
        Runs in the thread; must touch neither widgets nor layers.
    memory_advice : str, optional
        Remedy for the user where memory does not suffice.
    """

    progressed = Signal(object)
    """A `ProgressEvent`, at most one in `PROGRESS_SECONDS` of each stage but for its first and last."""
    shown = Signal(object)
    """An intermediate result, sent with `show`."""
    succeeded = Signal(object)
    """The result of the work."""
    failed = Signal(str)
    """The message of the error, to be shown as it is."""
    cancelling = Signal()
    """The work was asked to stop."""
    ended = Signal()
    """The thread ended, successfully or not; emitted before `succeeded` or `failed`."""

    def __init__(self, kind: JobKind, work: Work, *, memory_advice: str = MEMORY_ADVICE) -> None:
        super().__init__()
        self.kind = kind
        self.last_event: ProgressEvent | None = None
        self._work, self._memory_advice = work, memory_advice
        self._token = CancelToken()
        self._finished = threading.Event()
        self._sent: tuple[str, bool] | None = None  # stage of the last event, and whether it had a loss
        self._sent_at = 0.0
        self._worker: Any = None
        self.progressed.connect(self._remember)

    @property
    def title(self) -> str:
        """Name of the work for the user."""
        return self.kind.value

    def start(self) -> None:
        """Begin in napari's pool of workers, so that napari asks before it closes the window."""
        self._worker = create_worker(self._run, _start_thread=False, _progress={"desc": self.title})
        self._worker.returned.connect(self._on_returned)
        self._worker.start()

    def cancel(self) -> None:
        """Ask the work to stop as soon as it can."""
        if not self._token.cancelled:
            self._token.cancel()
            self.cancelling.emit()

    @property
    def place(self) -> str:
        """Empty: a thread computes here."""
        return ""

    @property
    def cancelled(self) -> bool:
        """Whether the work was asked to stop."""
        return self._token.cancelled

    @property
    def can_cancel(self) -> bool:
        """Whether asking to stop has an effect: once, a thread cannot be ended at once."""
        return not self.cancelled

    @property
    def cancel_text(self) -> str:
        """Text of the button that asks to stop."""
        return "Cancelling…" if self.cancelled else "Cancel"

    def leave(self) -> None:
        """Ask the work to stop since the viewer closes: its thread ends with the viewer."""
        self.cancel()

    def show(self, result: object) -> None:
        """Send an intermediate result; called by the work in its thread."""
        self.shown.emit(result)

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the thread, without handling signals; returns whether it ended."""
        return self._finished.wait(seconds)

    def _run(self) -> tuple[Any, BaseException | None]:
        try:
            with responsive_window():
                return self._work(self._report, self._token), None
        except Exception as error:  # the user is told of any failure in the thread
            if not isinstance(error, InputError):
                logger.exception("%s failed", self.title)
            return None, error
        finally:
            self._finished.set()

    def _report(self, event: ProgressEvent) -> None:
        """Emit `progressed` for the first and the last event of a stage, and a few in between."""
        now, part = time.monotonic(), (event.stage, event.loss is not None)
        if part != self._sent or event.fraction >= 1 or now - self._sent_at >= PROGRESS_SECONDS:
            self._sent, self._sent_at = part, now
            self.progressed.emit(event)

    def _on_returned(self, outcome: tuple[Any, BaseException | None]) -> None:
        result, error = outcome
        self._worker = None
        # `ended` first, so that a slot of `succeeded` can start the next job.
        self.ended.emit()
        if error is None:
            self.succeeded.emit(result)
        else:
            self.failed.emit(explain(error, self._memory_advice))

    def _remember(self, event: ProgressEvent) -> None:
        self.last_event = event


def explain(error: BaseException, memory_advice: str = MEMORY_ADVICE) -> str:
    """Message for the user in one line: the failure and its remedy."""
    if isinstance(error, InputError):
        return word(error)
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or "out of memory" in text.lower() or "can't allocate" in text.lower():
        return f"Out of memory. {memory_advice}"
    if isinstance(error, OSError):
        if getattr(error, "winerror", None) == WINDOWS_DLL_FAILED and "torch" in text:
            return TORCH_AFTER_QT
        return f"{error.filename or 'A file'}: {error.strerror or error}"
    return f"{text}. This should not happen: please report it with the log (View > Toggle Console shows it)."


def time_left(event: ProgressEvent) -> str:
    """Estimated time left in words, '2 min 10 s left', and whether it is longer than asked; empty where unknown."""
    if event.seconds_left is None or event.fraction >= 1:
        return ""
    minutes, seconds = divmod(round(event.seconds_left), 60)
    left = f"{minutes} min {seconds:02d} s left" if minutes else f"{seconds} s left"
    return f"{left} (longer than asked, until enough is learned)" if event.overtime else left
