"""Progress bars and Ctrl-C in a terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from types import FrameType

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars

from napari_landmark.detection.training.whole_progress import WholeProgress
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

_WHOLE = ""  # the bar of all stages
_PLAIN_SECONDS = 20.0  # between lines where the output is a file or a pipe


@contextlib.contextmanager
def terminal_progress(*, shown: bool = True, whole: WholeProgress | None = None) -> Iterator[Progress]:
    """Progress bars with loss and time left on standard error; occasional lines where that is no terminal.

    Parameters
    ----------
    shown : bool, optional
        Without it there are none, as in all but one of the processes that train together.
    whole : WholeProgress, optional
        Makes one bar, with one time left, of all stages of a training; by default each stage has a bar of its own.
    """
    if not shown:
        yield lambda event: None
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _PlainLines(whole)
        return
    columns = (
        TextColumn("{task.description:<26}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Bars(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def show(event: ProgressEvent) -> None:
            event, is_whole = _of_whole(event, whole)
            bar = _WHOLE if is_whole else event.stage
            if bar not in tasks:
                tasks[bar] = bars.add_task(event.stage, total=1.0, note="")
            completed, note = min(1.0, event.fraction), progress_note(event)
            bars.update(tasks[bar], description=event.stage, completed=completed, note=note)

        yield show


@contextlib.contextmanager
def printing(*, shown: bool) -> Iterator[None]:
    """Context that drops what is printed, except with `shown`. An error is printed after it, when the program ends."""
    if shown:
        yield
        return
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def progress_note(event: ProgressEvent) -> str:
    """Short text with loss, time left and whether the stage takes longer than asked."""
    parts = []
    if event.loss is not None:
        parts.append(f"loss {event.loss:.2f}")
    if event.seconds_left is not None and event.fraction < 1:
        minutes, seconds = divmod(round(event.seconds_left), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    if event.overtime and event.fraction < 1:
        parts.append("longer than asked, until enough is learned")
    return ", ".join(parts)


def _of_whole(event: ProgressEvent, whole: WholeProgress | None) -> tuple[ProgressEvent, bool]:
    """The event of a whole training once that has begun, and whether it is."""
    if whole is None:
        return event, False
    joined = whole.whole(event)
    return (joined, True) if whole.has_begun else (event, False)


class _PlainLines:
    def __init__(self, whole: WholeProgress | None = None) -> None:
        self._stage, self._time, self._whole = "", 0.0, whole

    def __call__(self, event: ProgressEvent) -> None:
        now = time.monotonic()
        event, is_whole = _of_whole(event, self._whole)
        of_all = " of all" if is_whole else ""
        if event.stage != self._stage or now - self._time > _PLAIN_SECONDS:
            self._stage, self._time = event.stage, now
            typer.echo(
                f"{event.stage}: {event.fraction:.0%}{of_all} {progress_note(event)}".rstrip(), err=True
            )


@contextlib.contextmanager
def cancel_on_interrupt() -> Iterator[CancelToken]:
    """Token that the first Ctrl-C (or SIGTERM) cancels; the second one stops at once."""
    token = CancelToken()

    def stop(number: int, frame: FrameType | None) -> None:
        if token.cancelled:
            raise KeyboardInterrupt
        token.cancel()
        typer.echo("\nstopping at the next good moment; once more stops at once", err=True)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield token
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
