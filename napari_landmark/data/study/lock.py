"""Locks of a study: two programs must not write the same files at the same time.

Reading is always allowed. Two kinds of work exclude only their own kind: annotating (annotations and study.json) and
training (models and predictions). A training in a terminal may run on a study that is open in a viewer, but two viewers
cannot both annotate, and two trainings cannot both run.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import BaseFileLock

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.file_lock import LockHeldError, acquire_lock
from napari_landmark.data.files.json_file import read_json_object, write_json_object

ANNOTATING, TRAINING = "annotating", "training"
_DOES = {ANNOTATING: "annotated", TRAINING: "trained"}
_SECONDS_UNTIL_LEFTOVER = 600
_SECONDS_BETWEEN_RENEWALS = 30
_held: dict[tuple[str, str], weakref.ref[StudyLock]] = {}


class StudyInUseError(InputError):
    """Another program is at work on the study."""


class StudyLock:
    """Exclusive right to one kind of work on a study, from construction until `release`.

    The lock itself is one of the operating system on ``.annotating.flock`` or ``.training.flock`` in the folder of the
    study: it ends with its program, however that ends. On file systems without locks the existence of that file is the
    lock. ``annotating.lock`` or ``training.lock`` beside it names the holder for messages. Its time is renewed while it
    is held: the file of another computer that was not renewed for ten minutes is a leftover.

    Parameters
    ----------
    folder : Path
        Folder of the study.
    work : str
        `ANNOTATING` or `TRAINING`.

    Raises
    ------
    StudyInUseError
        Another program, or another viewer of this one, does such work; the message names it and since when.
    InputError
        The folder cannot be written.
    """

    def __init__(self, folder: str | Path, work: str) -> None:
        self.path = Path(folder) / f"{work}.lock"
        self._key = (os.path.realpath(folder), work)
        if held_here(folder, work) is not None:
            raise StudyInUseError(_message(self.path, work, _this_process(), "close it there"))
        lock = _acquired(self.path, work)
        try:
            _check_holder(self.path, work)
            write_json_object(self.path, _this_process(), indent=None)
        except BaseException:
            lock.release()
            raise
        released = threading.Event()
        threading.Thread(target=_renew, args=(self.path, released), name="study lock", daemon=True).start()
        self._finalizer = weakref.finalize(self, _give_back, self.path, lock, self._key, released)
        _held[self._key] = weakref.ref(self)

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        self._finalizer()

    def __enter__(self) -> StudyLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@contextlib.contextmanager
def allowed(folder: str | Path, work: str) -> Iterator[None]:
    """Hold the lock for a short piece of work: the one this program has, or a new one."""
    if held_here(folder, work) is not None:
        yield
        return
    with StudyLock(folder, work):
        yield


def held_here(folder: str | Path, work: str) -> StudyLock | None:
    """The lock on such work that this program holds."""
    reference = _held.get((os.path.realpath(folder), work))
    return None if reference is None else reference()


def _acquired(path: Path, work: str) -> BaseFileLock:
    """The lock of the operating system; its file is never removed, since another program may have it open."""
    try:
        return acquire_lock(path.with_name(f".{work}.flock"))
    except LockHeldError as error:
        remedy = "close it there"
        if error.leftover is not None:
            remedy += f"; if it does not run any more, remove {error.leftover}"
        raise StudyInUseError(_message(path, work, _read(path), remedy)) from None
    except OSError as error:
        raise InputError(
            f"{path.parent}: cannot be written ({error.strerror or error}); choose a study you may write to"
        ) from error


def _check_holder(path: Path, work: str) -> None:
    """Refuse a study that another computer names itself the holder of: locks of some network disks are local.

    The file of a program that was killed here is a leftover, and so is one that nobody renews: a computer or a
    container may have changed its name.
    """
    there = _read(path)
    if not there:
        return
    if there.get("host") != socket.gethostname() and not _is_abandoned(path, work, there):
        remedy = f"close it there; if it does not run any more, wait for ten minutes, or remove {path}"
        raise StudyInUseError(_message(path, work, there, remedy))
    _remove_leftovers(path.parent)


def _is_abandoned(path: Path, work: str, there: dict[str, Any]) -> bool:
    """True where a holder that renews its file has not done so for long, by the clock of the file system."""
    if "renewed" not in there:  # of an earlier version
        return False
    own = path.with_name(f".{work}.flock")
    try:
        os.utime(own)
        return own.stat().st_mtime - path.stat().st_mtime > _SECONDS_UNTIL_LEFTOVER
    except OSError:
        return False


def _renew(path: Path, released: threading.Event) -> None:
    while not released.wait(_SECONDS_BETWEEN_RENEWALS):
        with contextlib.suppress(OSError):
            os.utime(path)


def _give_back(path: Path, lock: BaseFileLock, key: tuple[str, str], released: threading.Event) -> None:
    released.set()
    _held.pop(key, None)
    with contextlib.suppress(OSError):
        path.unlink()  # before the release: afterwards it may be another program's
    with contextlib.suppress(OSError):
        lock.release()


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path)
    except (OSError, InputError):
        return {}


def _this_process() -> dict[str, Any]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": since,
        "renewed": _SECONDS_BETWEEN_RENEWALS,
    }


def _message(path: Path, work: str, there: dict[str, Any], remedy: str) -> str:
    who = f"process {there.get('pid', '?')} on {there.get('host', '?')} since {there.get('since', '?')}"
    if there.get("host", socket.gethostname()) == socket.gethostname():
        who = "another viewer of this program" if there.get("pid") == os.getpid() else who
        remedy = remedy.replace("close it there", "close it there, or wait until it is done")
    return f"{path.parent}: is being {_DOES[work]} by {who}: {remedy}. Reading it is possible all the same"


def _remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files of a program that was ended while it wrote; their old content is untouched."""
    for path in folder.rglob(".tmp-*.part"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _SECONDS_UNTIL_LEFTOVER:
                path.unlink()
