"""Who is at work on a study: two programs must not write the same files at a time.

Reading is always allowed. There are two kinds of work, which do not disturb each other: annotating (what persons say,
and study.json) and training (models and what they find). So one may train in a terminal what is open in a viewer, but
two viewers cannot both annotate, and two trainings cannot both run.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.small_file import read_small_text

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

ANNOTATING, TRAINING = "annotating", "training"
_DOES = {ANNOTATING: "annotated", TRAINING: "trained"}
_SECONDS_UNTIL_LEFTOVER = 600
_FAR_BYTE = 2**30  # Windows keeps others from reading what is locked: not the text at the beginning
_held: dict[tuple[str, str], weakref.ref[StudyLock]] = {}


class StudyInUseError(InputError):
    """Another program is at work on the study."""


class StudyLock:
    """The right to do one kind of work on a study, from when it is made until `release`.

    ``annotating.lock`` or ``training.lock`` in the study's folder says who has it. The system itself gives a
    lock back when its program ends, however that happens, so a file that was left behind stops nobody. Only
    where the file says that another computer has it, nobody here can know whether that is still at work.

    Parameters
    ----------
    folder : Path
        Of the study.
    work : str
        `ANNOTATING` or `TRAINING`.

    Raises
    ------
    StudyInUseError
        Another program, or another viewer of this one, is doing such work; it says which and since when.
    InputError
        The folder cannot be written.
    """

    def __init__(self, folder: str | Path, work: str) -> None:
        self.path = Path(folder) / f"{work}.lock"
        self._key = (os.path.realpath(folder), work)
        mine = held_here(folder, work)
        if mine is not None:
            raise StudyInUseError(_message(self.path, work, _about_this_process()))
        self._handle = _locked(self.path, work)
        self._finalizer = weakref.finalize(self, _give_back, self.path, self._handle, self._key)
        _held[self._key] = weakref.ref(self)

    def release(self) -> None:
        """Give the right back; nothing happens the second time."""
        self._finalizer()

    def __enter__(self) -> StudyLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@contextlib.contextmanager
def allowed(folder: str | Path, work: str) -> Iterator[None]:
    """Do a moment's work: with the lock that this program has, or one just for that moment."""
    if held_here(folder, work) is not None:
        yield
        return
    with StudyLock(folder, work):
        yield


def held_here(folder: str | Path, work: str) -> StudyLock | None:
    """The lock on such work that this program has."""
    reference = _held.get((os.path.realpath(folder), work))
    return None if reference is None else reference()


def _locked(path: Path, work: str) -> int:
    """An open file that nobody else has locked, with this program's name in it."""
    for _ in range(100):
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as error:
            raise InputError(
                f"{path.parent}: cannot be written ({error.strerror}); choose a study you may write to"
            ) from error
        try:
            got = _lock(handle)
            there = _read(path)
            if got is False or (there and not _left_behind(there, known_free=got is True)):
                os.close(handle)
                raise StudyInUseError(_message(path, work, there))
            with contextlib.suppress(OSError):
                # Somebody may have given the lock back, and removed the file, after it was opened here.
                if os.fstat(handle).st_ino != os.stat(path).st_ino:
                    os.close(handle)
                    continue
            if there:
                _remove_leftovers(path.parent)
            os.ftruncate(handle, 0)
            os.lseek(handle, 0, os.SEEK_SET)
            os.write(handle, json.dumps(_about_this_process()).encode())
            return handle
        except OSError as error:
            with contextlib.suppress(OSError):
                os.close(handle)
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    raise StudyInUseError(_message(path, work, {}))


def _lock(handle: int) -> bool | None:
    """Whether the system gave the lock; None where it has none, as on some network disks."""
    try:
        if sys.platform == "win32":
            os.lseek(handle, _FAR_BYTE, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def _give_back(path: Path, handle: int, key: tuple[str, str]) -> None:
    _held.pop(key, None)
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)  # where the file cannot be removed, it says that nobody is there
    with contextlib.suppress(OSError):
        path.unlink()
    with contextlib.suppress(OSError):
        os.close(handle)


def _left_behind(there: dict[str, Any], *, known_free: bool) -> bool:
    """Whether the program that the file names is gone, as far as can be known from here."""
    if there.get("host") != socket.gethostname():
        return False
    return known_free or not _runs(there.get("pid"))


def _runs(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    if sys.platform == "win32":
        return True  # cannot be asked without stopping it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_small_text(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _about_this_process() -> dict[str, Any]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}


def _message(path: Path, work: str, there: dict[str, Any]) -> str:
    who = f"process {there.get('pid', '?')} on {there.get('host', '?')} since {there.get('since', '?')}"
    if there.get("host", socket.gethostname()) == socket.gethostname():
        who = "another viewer of this program" if there.get("pid") == os.getpid() else who
        remedy = "close it there, or wait until it is done"
    else:
        remedy = f"close it there; if it does not run any more, remove {path}"
    return f"{path.parent}: is being {_DOES[work]} by {who}: {remedy}. Looking at it is possible all the same"


def _remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files of a program that was ended while it wrote; their old content is untouched."""
    for path in folder.rglob(".tmp-*.part"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _SECONDS_UNTIL_LEFTOVER:
                path.unlink()
