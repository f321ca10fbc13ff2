"""Check before the work that its results can be written."""

from __future__ import annotations

import os
from pathlib import Path

from napari_landmark.data.errors import InputError


def check_writable(path: Path, *, folder: bool = False) -> None:
    """Refuse a path that cannot be written (InputError); nothing is created yet.

    Parameters
    ----------
    folder : bool
        True for a folder, False for a file.
    """
    if path.exists() and path.is_dir() != folder:
        kind = "file" if folder else "folder"
        raise InputError(f"{path}: is a {kind}; choose another name")
    there = path.absolute()
    while not there.exists():
        there = there.parent
    if there != path.absolute() and not there.is_dir():
        raise InputError(f"{path}: cannot be written, {there} is a file; choose another folder")
    if not os.access(there, os.W_OK):
        raise InputError(f"{path}: cannot be written; choose a folder you may write to")
