"""Landmark files: one module for each format, and the table that finds it by the end of a file's name.

A reader takes ``(path, *, schema=None)`` and gives a dict of image name to LandmarkSet; a writer takes
``(path, sets, *, geometries=None)``. Either raises an InputError that names the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats import landmark_csv
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet


class Reader(Protocol):
    """Reads the landmarks of many images from one file."""

    def __call__(self, path: str | Path, *, schema: LandmarkSchema | None = None) -> dict[str, LandmarkSet]:
        """By name of the image, in the order of the file."""


class Writer(Protocol):
    """Writes the landmarks of many images to one file."""

    def __call__(
        self,
        path: str | Path,
        sets: Mapping[str, LandmarkSet],
        *,
        geometries: Mapping[str, Geometry] | None = None,
    ) -> None:
        """Whole, or not at all."""


class Format(NamedTuple):
    """How one kind of file is read and written; None where it cannot be."""

    read: Reader | None
    write: Writer | None


FORMATS: dict[str, Format] = {
    ".csv": Format(landmark_csv.read_csv, landmark_csv.write_csv),
}


def read_landmarks(path: str | Path, *, schema: LandmarkSchema | None = None) -> dict[str, LandmarkSet]:
    """Read a landmark file of any known format, by image name."""
    read = _format(path).read
    if read is None:
        raise InputError(f"{path}: landmarks of this format can only be written")
    return read(path, schema=schema)


def write_landmarks(
    path: str | Path,
    sets: Mapping[str, LandmarkSet],
    *,
    geometries: Mapping[str, Geometry] | None = None,
) -> None:
    """Write a landmark file in the format its name ends with."""
    write = _format(path).write
    if write is None:
        raise InputError(f"{path}: landmarks of this format can only be read")
    write(path, sets, geometries=geometries)


def _format(path: str | Path) -> Format:
    name = Path(path).name.lower()
    # The longest end first, so that '.mrk.json' is found before '.json'.
    for suffix in sorted(FORMATS, key=len, reverse=True):
        if name.endswith(suffix):
            return FORMATS[suffix]
    raise InputError(f"{path}: not a known landmark format; known are {', '.join(FORMATS)}")
