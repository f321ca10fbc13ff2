"""Whether results can be written, found out before the work rather than after it."""

from __future__ import annotations

import os
from pathlib import Path

from napari_landmark.data.errors import InputError


def check_writable(path: Path, *, folder: bool = False) -> None:
    """Refuse a place where nothing can be written; nothing is made yet (InputError).

    Parameters
    ----------
    folder : bool
        Whether `path` is to be a folder, not a file.
    """
    if path.exists() and path.is_dir() != folder:
        kind = "file" if folder else "folder"
        raise InputError(f"{path}: is a {kind}; choose another name")
    there = path.absolute()
    while not there.exists():
        there = there.parent
    if there != path.absolute() and not there.is_dir():
        raise InputError(f"{path}: cannot be written, {there} is a file; choose another place")
    if not os.access(there, os.W_OK):
        raise InputError(f"{path}: cannot be written; choose a folder you may write to")
