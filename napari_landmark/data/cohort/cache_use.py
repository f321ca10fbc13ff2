"""Marks of the programs that have a file of a cache open."""

from __future__ import annotations

import contextlib
import time
import uuid
import weakref
from pathlib import Path

from filelock import BaseFileLock

from napari_landmark.data.files.file_lock import LockHeldError, acquire_lock

_SECONDS_UNTIL_LEFTOVER = 7 * 24 * 3600  # of a mark on a file system without locks


class CacheUse:
    """Mark on a file, from construction until it is collected or its program ends, however it ends.

    The mark is a locked file beside it. A folder that cannot be written gets none: nobody can remove its files either.

    Parameters
    ----------
    file : Path
        File of a cache, which `is_used` is then true of.
    """

    def __init__(self, file: Path) -> None:
        mark = file.with_name(f"{file.name}.{uuid.uuid4().hex[:12]}.use")
        with contextlib.suppress(OSError, LockHeldError):
            self._finalizer = weakref.finalize(self, _give_back, mark, acquire_lock(mark))


def is_used(file: Path) -> bool:
    """Whether a program has a mark on a file; marks of programs that have ended are removed."""
    used = False
    for mark in file.parent.glob(f"{file.name}.*.use"):
        try:
            lock = acquire_lock(mark)
        except LockHeldError as error:
            used |= error.leftover is None or not _is_old(error.leftover)
        except OSError:
            used = True
        else:
            _give_back(mark, lock)
    return used


def _give_back(mark: Path, lock: BaseFileLock) -> None:
    with contextlib.suppress(OSError):
        lock.release()
    with contextlib.suppress(OSError):
        mark.unlink(missing_ok=True)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _SECONDS_UNTIL_LEFTOVER
    except OSError:
        return True
