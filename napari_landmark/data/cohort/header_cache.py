"""Cache of the geometries that the headers of a folder's images state, in one JSON file."""

from __future__ import annotations

import contextlib
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.json_file import read_json_object, write_json_object
from napari_landmark.data.geometry import Geometry

_VERSION = 2


class HeaderCache:
    """Geometries by name, valid for one path, size and time of change.

    A file that cannot be read, or an entry that makes no sense, counts as not there: the header is read again.

    Parameters
    ----------
    file : Path
        The JSON file; read at once, written by `save`.
    source : Path
        Folder of the images, kept in the file for those who list the caches.
    """

    def __init__(self, file: Path, source: Path) -> None:
        self._file = file
        self._source = source
        self._earlier = _read(file)
        self._current: dict[str, list[Any]] = {}

    def find(self, name: str, path: Path, state: tuple[int, int]) -> Geometry | None:
        """Geometry of an image whose path and state are those of its entry; None where there is none.

        Parameters
        ----------
        state : tuple of int
            As `file_state` gives it.
        """
        entry = self._earlier.get(name, [])
        try:
            where, size, changed, described = entry
            if (where, size, changed) != (str(path.absolute()), *state):
                return None
            geometry = Geometry.from_json(described)
        except (InputError, LookupError, TypeError, ValueError, AttributeError, OverflowError):
            return None
        self._current[name] = entry
        return geometry

    def keep(self, name: str, path: Path, state: tuple[int, int], geometry: Geometry) -> None:
        """Note the geometry of an image, as its file states it."""
        self._current[name] = [str(path.absolute()), *state, geometry.to_json()]

    def save(self, *, complete: bool = True) -> None:
        """Write the file where anything is new; a folder that cannot be written is passed over.

        Parameters
        ----------
        complete : bool, optional
            Drop the earlier entries that were not looked for.
        """
        content = self._current if complete else {**self._earlier, **self._current}
        if content == self._earlier:
            with contextlib.suppress(OSError):
                os.utime(self._file)  # the time of the last use
            return
        with contextlib.suppress(InputError):  # the cache of the images will say it
            write_json_object(
                self._file, {**_made_by(), "folder": str(self._source), "images": content}, indent=None
            )


def _read(file: Path) -> dict[str, list[Any]]:
    """Entries of a file of this version of the package; empty for anything else."""
    try:
        content = read_json_object(file)
    except (OSError, InputError):
        return {}
    images = content.get("images")
    if not isinstance(images, dict) or {key: content.get(key) for key in _made_by()} != _made_by():
        return {}
    return images


def _made_by() -> dict[str, Any]:
    """Version of the file and of the package: another one may read headers differently."""
    try:
        package = version("napari-landmark")
    except PackageNotFoundError:
        package = ""
    return {"version": _VERSION, "package": package}
