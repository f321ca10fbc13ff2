"""Lock of the operating system on a file: it ends with its program, however that ends."""

from __future__ import annotations

import errno
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout


class LockHeldError(Exception):
    """Another program, or another part of this one, holds the lock.

    Parameters
    ----------
    leftover : Path or None
        On file systems without locks the file whose existence is the lock, which a program that was killed on another
        computer leaves behind.
    """

    def __init__(self, leftover: Path | None) -> None:
        super().__init__("held elsewhere")
        self.leftover = leftover


def acquire_lock(file: Path) -> BaseFileLock:
    """Take the lock on a file at once.

    The file is made and never removed by this, since another program may have it open. On file systems without locks
    the existence of a file is the lock.

    Raises
    ------
    LockHeldError
        The lock is held already.
    OSError
        The file cannot be written.
    """
    # Not one state a thread: the lock is released by whichever thread drops its last reference.
    # Falling back is done here: in some versions of filelock a lock that fell back does not tell so.
    lock: BaseFileLock = FileLock(file, thread_local=False, fallback_to_soft=False)
    try:
        try:
            _try_twice(lock)
        except OSError as error:
            if isinstance(error, Timeout) or error.errno != errno.ENOSYS:
                raise
            lock = SoftFileLock(file.with_suffix(".softlock"), thread_local=False)
            _try_twice(lock)
    except Timeout:
        leftover = Path(lock.lock_file) if isinstance(lock, SoftFileLock) else None
        raise LockHeldError(leftover) from None
    return lock


def _try_twice(lock: BaseFileLock) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not isinstance(lock, SoftFileLock):
            raise
        lock.acquire(timeout=0)  # the first attempt removed the file of a program that was killed
