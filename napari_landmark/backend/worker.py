"""Worker process: does the one job of a folder, tells how it goes, and writes how it ended."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import BaseFileLock

import napari_landmark
from napari_landmark.backend.job_file import KINDS, PROTOCOL, read_job
from napari_landmark.backend.job_folder import (
    DONE,
    KILL,
    STOP,
    WATCHED,
    WORKER_LOCK,
    Done,
    Outcome,
    check_private,
    write_done,
)
from napari_landmark.backend.jobs.job import JobMonitor, KilledError
from napari_landmark.backend.progress_file import HEARTBEAT_SECONDS, PROGRESS, ProgressWriter
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.files.file_lock import LockHeldError, acquire_lock
from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.learning.out_of_memory import is_out_of_memory
from napari_landmark.progress import Cancelled, CancelToken

_SECONDS_BETWEEN_LOOKS = 0.25
_SECONDS_FOR_LOCK = 2.0
_RESERVE, _RESERVED_BYTES = ".reserve", 256 * 1024
_EXIT_STATUS = {Outcome.DONE: 0, Outcome.STOPPED: 130, Outcome.FAILED: 2, Outcome.KILLED: 137}


def run_worker(folder: Path, *, kinds: Mapping[str, type[Any]] = KINDS, own_process: bool = True) -> int:
    """Do the job of a folder.

    A file ``stop`` in it, SIGTERM and SIGINT ask for a usable result as soon as possible; a file ``kill`` ends the
    process at once. ``done.json`` is written in the end whatever happens, but for a kill by the system.

    Parameters
    ----------
    folder : Path
    kinds : mapping of str to type
        Jobs that it does, by the name of their kind.
    own_process : bool
        Whether it may listen to signals and end its process. A worker in a thread cannot be ended at once: it is
        asked to stop.

    Returns
    -------
    int
        Exit status: 0 for a complete result, 130 after a stop, 2 for a failure.

    Raises
    ------
    InputError
        The folder is not private, another worker does its job, or the job is done already.
    """
    check_private(folder)
    lock = _acquired(folder)
    try:
        if (folder / DONE).exists():
            raise InputError(f"{folder}: this job is done already")
        return _EXIT_STATUS[_work(folder, kinds, own_process)]
    finally:
        lock.release()


def _acquired(folder: Path) -> BaseFileLock:
    """The lock of the worker; those who look whether it is held have it for a moment."""
    end = time.monotonic() + _SECONDS_FOR_LOCK
    while True:
        try:
            return acquire_lock(folder / WORKER_LOCK)
        except LockHeldError as error:
            if time.monotonic() > end:
                remedy = "" if error.leftover is None else f"; if none does, remove {error.leftover}"
                raise InputError(f"{folder}: another worker does this job{remedy}") from None
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _work(folder: Path, kinds: Mapping[str, type[Any]], own_process: bool) -> Outcome:
    started = time.monotonic()
    _reserve(folder)
    writer, token = ProgressWriter(folder / PROGRESS), CancelToken()
    writer.started(PROTOCOL, napari_landmark.__version__, socket.gethostname())
    ended = threading.Event()
    watch = threading.Thread(
        target=_watch,
        args=(folder, writer, token, ended, started, own_process),
        name="landmark job requests",
        daemon=True,
    )
    watch.start()
    try:
        listening = _stop_on_signals(token) if own_process else contextlib.nullcontext()
        with listening, _logged(writer):
            done = _outcome(folder, writer, token, started, kinds)
    finally:
        ended.set()
        watch.join(timeout=5)
    _finish(folder, done)
    writer.close()
    return done.outcome


def _outcome(
    folder: Path,
    writer: ProgressWriter,
    token: CancelToken,
    started: float,
    kinds: Mapping[str, type[Any]],
) -> Done:
    """Do the work; any exception becomes an outcome."""
    monitor = JobMonitor(
        folder=folder,
        progress=writer.progress,
        cancel=token,
        log=writer.log,
        preview=writer.preview,
        watched=lambda: _watched(folder),
        device=writer.device,
        host_state=writer.host_state,
    )

    def seconds() -> float:
        return time.monotonic() - started

    try:
        job = read_job(folder, kinds)
        token.raise_if_cancelled()
        result = job.run(monitor)
    except Cancelled:
        return Done(Outcome.STOPPED, seconds=seconds())
    except KilledError:
        return Done(Outcome.KILLED, seconds=seconds())
    except InputError as error:
        return Done(Outcome.FAILED, error, seconds=seconds())
    except BaseException as error:
        traceback.print_exc()  # to the log of the worker
        if isinstance(error, KeyboardInterrupt):
            return Done(Outcome.KILLED, seconds=seconds())
        return Done(Outcome.FAILED, _unforeseen(error), seconds=seconds())
    outcome = Outcome.STOPPED if result.get("cancelled") else Outcome.DONE
    return Done(outcome, None, result, seconds())


def _unforeseen(error: BaseException) -> InputError:
    """Message of an error that no message foresees."""
    if is_out_of_memory(error):
        where = "this machine" if isinstance(error, MemoryError) else "the graphics card"
        return InputError(f"the memory of {where} is used up", code=ErrorCode.OUT_OF_MEMORY)
    if isinstance(error, OSError):
        return InputError(f"{error.filename or 'file system'}: {error.strerror or error}")
    return InputError(f"unexpected error: {type(error).__name__}: {error}")


def _reserve(folder: Path) -> None:
    """Keep some space, so that a full disk can be told."""
    with contextlib.suppress(OSError):
        (folder / _RESERVE).write_bytes(b"\0" * _RESERVED_BYTES)


def _finish(folder: Path, done: Done) -> None:
    with contextlib.suppress(OSError):
        (folder / _RESERVE).unlink(missing_ok=True)
    write_done(folder, done)


def _watch(
    folder: Path,
    writer: ProgressWriter,
    token: CancelToken,
    ended: threading.Event,
    started: float,
    own_process: bool,
) -> None:
    """Look for requests, and tell that the worker lives."""
    beat = time.monotonic()
    while not ended.wait(_SECONDS_BETWEEN_LOOKS):
        if own_process and (folder / KILL).exists():
            _finish(folder, Done(Outcome.KILLED, seconds=time.monotonic() - started))
            os._exit(_EXIT_STATUS[Outcome.KILLED])
        if not token.cancelled and ((folder / STOP).exists() or (folder / KILL).exists()):
            token.cancel()
        if time.monotonic() - beat > HEARTBEAT_SECONDS:
            beat = time.monotonic()
            writer.alive()


def _watched(folder: Path) -> str:
    """Name of the image that the user looks at."""
    try:
        name = json.loads(read_small_text(folder / WATCHED))
    except (OSError, ValueError, RecursionError):
        return ""
    return name if isinstance(name, str) else ""


@contextlib.contextmanager
def _stop_on_signals(token: CancelToken) -> Iterator[None]:
    """The first SIGTERM or SIGINT asks to stop, as a scheduler does before the time of a job is over."""

    def stop(number: int, frame: FrameType | None) -> None:
        if token.cancelled:
            raise KeyboardInterrupt
        token.cancel()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _ToProgress(logging.Handler):
    def __init__(self, writer: ProgressWriter) -> None:
        super().__init__(logging.WARNING)
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        self._writer.log(record.getMessage())


@contextlib.contextmanager
def _logged(writer: ProgressWriter) -> Iterator[None]:
    """Warnings of the package go to the progress file, too."""
    handler, logger = _ToProgress(writer), logging.getLogger("napari_landmark")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
