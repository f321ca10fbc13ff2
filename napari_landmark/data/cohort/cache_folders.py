"""List and remove the caches of cohorts: their folder of images, size, last use."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_landmark.data.cohort.cache import HEADERS, INDEX, lock_of_cache
from napari_landmark.data.cohort.cache_use import is_used
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.file_lock import LockHeldError, acquire_lock
from napari_landmark.data.files.json_file import read_json_object

DAYS_UNTIL_UNUSED = 30
_NAME = re.compile(r"[0-9a-f]{24}")
_PATTERNS = (INDEX, HEADERS, "working-*.npy", "working-*.use", ".tmp-*.part")  # all that is ever removed


@dataclass(frozen=True)
class CacheFolder:
    """Cache of the images, or of their headers, of one folder.

    Parameters
    ----------
    path : Path
        Folder of the cache.
    source : Path or None
        Folder of the images; None where an earlier version did not note it.
    size : int
        Bytes.
    last_use : float
        Seconds since 1970.
    in_use : bool
        Whether a program reads it or builds it now.
    """

    path: Path
    source: Path | None
    size: int
    last_use: float
    in_use: bool

    @property
    def is_unused(self) -> bool:
        """Whether its folder of images is gone, or it was not used for 30 days; never where it is in use."""
        if self.in_use:
            return False
        gone = self.source is not None and not self.source.is_dir()
        return gone or time.time() - self.last_use > DAYS_UNTIL_UNUSED * 24 * 3600


def list_caches(folder: Path) -> list[CacheFolder]:
    """The caches in the folder for caches, largest first; empty where there is no such folder."""
    try:
        paths = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    except OSError:
        return []
    caches = [_described(path) for path in paths if _files(path)]
    return sorted(caches, key=lambda cache: (-cache.size, cache.path.name))


def remove_cache(cache: CacheFolder) -> bool:
    """Remove the files of a cache, and nothing else that may be in its folder.

    Returns
    -------
    bool
        False where a program uses it, or the files cannot be removed.
    """
    try:
        lock = acquire_lock(_lock_file(cache.path))
    except (LockHeldError, OSError):
        return False
    try:
        if _is_mapped(cache.path):
            return False
        for file in _files(cache.path):
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # there are files of others in it
            cache.path.rmdir()
        return True
    except OSError:
        return False
    finally:
        lock.release()


def _described(path: Path) -> CacheFolder:
    stats = []
    for file in _files(path):
        with contextlib.suppress(OSError):
            stats.append(file.stat())
    folder = _index(path).get("folder")
    return CacheFolder(
        path,
        Path(folder) if isinstance(folder, str) else None,
        sum(stat.st_size for stat in stats),
        max((stat.st_mtime for stat in stats), default=0.0),
        _is_locked(path) or _is_mapped(path),
    )


def _index(path: Path) -> dict[str, Any]:
    for name in (INDEX, HEADERS):
        with contextlib.suppress(OSError, InputError):
            return read_json_object(path / name)
    return {}


def _is_locked(path: Path) -> bool:
    try:
        acquire_lock(_lock_file(path)).release()
    except LockHeldError:
        return True
    except OSError:
        return False
    return False


def _lock_file(path: Path) -> Path:
    file = lock_of_cache(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _is_mapped(path: Path) -> bool:
    return any(is_used(file) for file in path.glob("working-*.npy"))


def _files(path: Path) -> list[Path]:
    return [file for pattern in _PATTERNS for file in path.glob(pattern) if file.is_file()]
