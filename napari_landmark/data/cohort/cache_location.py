"""Folder for the caches of all cohorts, the same for the viewer, the terminal and scripts."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from pathlib import Path

import platformdirs

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.json_file import read_json_object, write_json_object

logger = logging.getLogger(__name__)

_PROGRAM = "napari-landmark"
_VARIABLE = "NAPARI_LANDMARK_CACHE"
_KEY = "cache_folder"


def default_cache_dir() -> Path:
    """The folder for caches.

    The one that the environment variable NAPARI_LANDMARK_CACHE names; else the one that was chosen in the viewer's
    preferences; else the system's folder for caches of a user's programs.
    """
    return _named() or _chosen() or _usual()


def cache_dirs() -> list[Path]:
    """Folders in which this user's caches may be, `default_cache_dir` first.

    Those besides it are the one for file systems without memory maps and, where the folder was chosen in the
    preferences, the one that was used before. A folder that NAPARI_LANDMARK_CACHE names stands alone: it is often set
    to leave all others untouched.
    """
    used = default_cache_dir()
    return list(dict.fromkeys((used, *(() if _named() else (_usual(),)), local_cache_dir())))


def choose_cache_dir(folder: Path | None) -> None:
    """Remember the folder that was chosen in the viewer's preferences, for all later programs; None for no choice.

    Nothing happens where that is remembered already. Where it cannot be written, other programs use another folder,
    which costs time only.
    """
    if folder == _chosen():
        return
    try:
        if folder is None:
            _file().unlink(missing_ok=True)
        else:
            write_json_object(_file(), {_KEY: str(folder)})
    except (InputError, OSError) as error:
        logger.warning("the chosen folder of caches is not remembered: %s", error)


def local_cache_dir() -> Path:
    """The folder for caches whose own file system has no memory maps: for temporary files, this user's own."""
    if not hasattr(os, "getuid"):
        return Path(tempfile.gettempdir()) / _PROGRAM  # of this user, on Windows
    folder = Path(tempfile.gettempdir()) / f"{_PROGRAM}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Another user may have made a folder of that name.
    return folder if folder.stat().st_uid == os.getuid() else Path(tempfile.mkdtemp(prefix=f"{_PROGRAM}-"))


def _named() -> Path | None:
    chosen = os.environ.get(_VARIABLE)
    return Path(chosen).expanduser() if chosen else None


def _chosen() -> Path | None:
    with contextlib.suppress(OSError, InputError):  # a damaged file is no choice
        folder = read_json_object(_file()).get(_KEY)
        if isinstance(folder, str) and Path(folder).is_absolute():
            return Path(folder)
    return None


def _usual() -> Path:
    return platformdirs.user_cache_path(_PROGRAM, appauthor=False, opinion=False)


def _file() -> Path:
    return platformdirs.user_config_path(_PROGRAM, appauthor=False) / "preferences.json"
