"""Landmark files: one module for each format, and the table that finds it by the end of a file's name.

A reader takes ``(path, *, schema=None, geometries=None)`` and gives a dict of image name to LandmarkSet; a
writer takes ``(path, sets, *, geometries=None)``. `geometries` are those of the images, by name; formats in
millimetres and those that count rows from the bottom cannot do without. Either raises an InputError that
names the file. docs/formats-and-coordinates.md says what becomes of coordinates in each format.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats import coco, deeplabcut, landmark_csv, slicer_fcsv, slicer_json, tps
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet


class Reader(Protocol):
    """Reads the landmarks of one image or many from one file."""

    def __call__(
        self,
        path: str | Path,
        *,
        schema: LandmarkSchema | None = None,
        geometries: Mapping[str, Geometry] | None = None,
    ) -> dict[str, LandmarkSet]:
        """By name of the image, in the order of the file."""


class Writer(Protocol):
    """Writes the landmarks of one image or many to one file."""

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
    one_image: bool = False


def _read_csv(
    path: str | Path,
    *,
    schema: LandmarkSchema | None = None,
    geometries: Mapping[str, Geometry] | None = None,
) -> dict[str, LandmarkSet]:
    return landmark_csv.read_csv(path, schema=schema)


FORMATS: dict[str, Format] = {
    ".csv": Format(_read_csv, landmark_csv.write_csv),
    ".dlc.csv": Format(deeplabcut.read_deeplabcut, deeplabcut.write_deeplabcut),
    ".mrk.json": Format(slicer_json.read_slicer_json, slicer_json.write_slicer_json, one_image=True),
    ".fcsv": Format(slicer_fcsv.read_fcsv, slicer_fcsv.write_fcsv, one_image=True),
    ".tps": Format(tps.read_tps, tps.write_tps),
    ".json": Format(coco.read_coco, coco.write_coco),
}


def read_landmarks(
    path: str | Path,
    *,
    schema: LandmarkSchema | None = None,
    geometries: Mapping[str, Geometry] | None = None,
) -> dict[str, LandmarkSet]:
    """Read a landmark file of any known format, by image name.

    Parameters
    ----------
    path : str or Path
        The file. A CSV of DeepLabCut is known by its first line.
    schema : LandmarkSchema, optional
        Landmarks that may occur; those of the file if not given.
    geometries : mapping of str to Geometry, optional
        By name of the image: those the file may be about. Needed for the files of 3D Slicer and for TPS.
    """
    csv = Path(path).name.lower().endswith(".csv")
    form = FORMATS[".dlc.csv"] if csv and deeplabcut.is_deeplabcut(path) else _by_name(path)
    if form.read is None:
        raise InputError(f"{path}: landmarks of this format can only be written")
    return form.read(path, schema=schema, geometries=geometries)


def write_landmarks(
    path: str | Path,
    sets: Mapping[str, LandmarkSet],
    *,
    geometries: Mapping[str, Geometry] | None = None,
) -> None:
    """Write a landmark file in the format its name ends with.

    Parameters
    ----------
    path : str or Path
        The file. One for DeepLabCut ends in .dlc.csv or is called CollectedData_<scorer>.csv.
    sets : mapping of str to LandmarkSet
        By name of the image; a single one for the formats of 3D Slicer.
    geometries : mapping of str to Geometry, optional
        By name of the image. Needed for the files of 3D Slicer, TPS and COCO.
    """
    form = output_format(path)
    if form.write is None:
        raise InputError(f"{path}: landmarks of this format can only be read")
    form.write(path, sets, geometries=geometries)


def output_format(path: str | Path) -> Format:
    """The format in which a file of this name is written."""
    return FORMATS[".dlc.csv"] if deeplabcut.named_deeplabcut(path) else _by_name(path)


def _by_name(path: str | Path) -> Format:
    name = Path(path).name.lower()
    # The longest end first, so that '.mrk.json' is found before '.json'.
    for suffix in sorted(FORMATS, key=len, reverse=True):
        if suffix != ".dlc.csv" and name.endswith(suffix):
            return FORMATS[suffix]
    raise InputError(f"{path}: not a known landmark format; known are {', '.join(FORMATS)}")
