"""Write a file so that a reader finds either the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from napari_landmark.data.errors import InputError

# Access denied, sharing violation, lock violation: a virus scanner or a sync client has the file open.
_PASSING_WINDOWS_ERRORS = (5, 32, 33)
_SECONDS_OF_RETRIES = 2.0
_SECONDS_BETWEEN_RETRIES = 0.05


def atomic_write(path: str | Path, content: bytes | str) -> None:
    """Write a whole file, or leave the old one untouched.

    The content goes to a temporary file in the same folder (a rename is atomic only within one file
    system), is flushed to the disk and then renamed over the old file. Missing folders are made.

    Parameters
    ----------
    path : str or Path
        The file to write.
    content : bytes or str
        Content of the file; text is written as UTF-8 with the line ends it has.

    Raises
    ------
    InputError
        Where the file cannot be written, with its name and the remedy.
    """
    path = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, _mode_for(path))
            replace_file(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise write_error(path, error) from error
    sync_folder(path.parent)


def replace_file(source: str | Path, target: str | Path) -> None:
    """Rename a file over another one, with retries for about two seconds where Windows refuses it for a moment.

    Raises
    ------
    OSError
        As of `os.replace`; both files are untouched.
    """
    end = time.monotonic() + _SECONDS_OF_RETRIES
    while True:
        try:
            os.replace(source, target)
            return
        except OSError as error:
            passing = getattr(error, "winerror", None) in _PASSING_WINDOWS_ERRORS
            if not passing or time.monotonic() > end:
                raise
        time.sleep(_SECONDS_BETWEEN_RETRIES)


def atomic_write_all(files: Mapping[Path, bytes]) -> None:
    """Write many files, each whole or not at all, with one flush of each folder for all of them.

    All are written before the first is flushed to the disk, which makes the flushes cheap.

    Raises
    ------
    InputError
        A file cannot be written, with its name and the remedy; others may have been written.
    """
    temporary: dict[Path, str] = {}
    path = Path()
    try:
        try:
            for path, content in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                handle, temporary[path] = tempfile.mkstemp(dir=path.parent, prefix=".tmp-", suffix=".part")
                with os.fdopen(handle, "wb") as stream:
                    stream.write(content)
            for path in files:
                with open(temporary[path], "rb+") as stream:
                    os.fsync(stream.fileno())
                os.chmod(temporary[path], _mode_for(path))
                replace_file(temporary[path], path)
                del temporary[path]
        finally:
            for name in temporary.values():
                with contextlib.suppress(OSError):
                    os.unlink(name)
    except OSError as error:
        raise write_error(path, error) from error
    for folder in {path.parent for path in files}:
        sync_folder(folder)


def write_error(path: Path, error: OSError) -> InputError:
    """Error of a file that cannot be written, with its name and the remedy."""
    reason = error.strerror or str(error)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    remedy = "free some space; the old file is untouched" if full else "choose a folder you may write to"
    return InputError(f"{path}: cannot be written ({reason}); {remedy}")


def _mode_for(path: Path) -> int:
    """Permissions of the replaced file, or of an ordinary new one (mkstemp makes it private)."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return 0o666 & ~_UMASK


def _read_umask() -> int:
    # The umask can only be read by setting it. Done once at import, since the setting is the whole process's
    # and a thread that makes a file in between would get the wrong permissions.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


_UMASK = _read_umask()


def sync_folder(folder: Path) -> None:
    """Make the rename survive a power cut, on file systems that can."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
