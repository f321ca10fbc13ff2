"""Registry of the landmark formats: the built-in ones and those of other packages.

Another package adds formats with an entry point of the group ``napari_landmark.formats`` whose object is a
`LandmarkFormat`::

    [project.entry-points."napari_landmark.formats"]
    pts = "my_package.pts:PTS"
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.coco import COCO
from napari_landmark.data.formats.deeplabcut import DEEPLABCUT
from napari_landmark.data.formats.landmark_csv import LANDMARK_CSV
from napari_landmark.data.formats.landmark_format import LandmarkFormat, Unit
from napari_landmark.data.formats.morphoj import MORPHOJ
from napari_landmark.data.formats.slicer_fcsv import SLICER_FCSV
from napari_landmark.data.formats.slicer_json import SLICER_JSON
from napari_landmark.data.formats.tps import TPS
from napari_landmark.data.formats.wide_csv import WIDE_CSV
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet

logger = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "napari_landmark.formats"
BUILT_IN = (LANDMARK_CSV, SLICER_JSON, SLICER_FCSV, TPS, COCO, DEEPLABCUT, WIDE_CSV, MORPHOJ)
"""Formats of this package, in the order of menus."""


@cache
def landmark_formats() -> tuple[LandmarkFormat, ...]:
    """All formats: the built-in ones, then those of other packages by name of their entry point.

    An entry point that cannot be loaded, is no `LandmarkFormat` or has a suffix that is taken is left out with
    one line of warning. The result is kept; `landmark_formats.cache_clear()` looks again.
    """
    formats = list(BUILT_IN)
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        try:
            added = entry.load()
            reason = _refusal(added, formats)
        except Exception as error:  # code of another package: it must not stop this one
            reason = f"{type(error).__name__}: {error}"
        if reason:
            logger.warning("landmark format %s (%s) is left out: %s", entry.name, entry.value, reason)
        else:
            formats.append(added)
    return tuple(formats)


def format_of_suffix(suffix: str) -> LandmarkFormat:
    """The format with a suffix such as '.csv'; InputError where there is none."""
    for known in landmark_formats():
        if suffix in known.suffixes:
            return known
    raise InputError(f"{suffix}: not a known landmark format; known are {_suffixes()}")


def input_format(path: str | Path) -> LandmarkFormat:
    """The format of an existing file, by its content or its suffix; InputError where it is unknown."""
    for known in BUILT_IN:
        if known.recognizes_content is not None and known.recognizes_content(path):
            return known
    return _by_suffix(
        path,
        [known for known in landmark_formats() if known not in BUILT_IN or known.recognizes_content is None],
    )


def output_format(path: str | Path) -> LandmarkFormat:
    """The format in which a file of this name is written; InputError where it is unknown."""
    for known in BUILT_IN:
        if known.recognizes_name is not None and known.recognizes_name(path):
            return known
    return _by_suffix(path, landmark_formats())


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
        The file. A CSV of DeepLabCut is recognized by its first line.
    schema : LandmarkSchema, optional
        Landmarks that may occur; those of the file if not given.
    geometries : mapping of str to Geometry, optional
        Geometries by name of the image: those the file may be about. Required for the formats whose
        `LandmarkFormat.reading_needs_images` is true.

    Raises
    ------
    InputError
        The format is unknown or the file cannot be read.
    """
    known = input_format(path)
    if known.read is None:
        raise InputError(f"{path}: landmarks of this format can only be written")
    return known.read(path, schema=schema, geometries=geometries)


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
        Landmarks by name of the image; a single image where `LandmarkFormat.one_image` is true.
    geometries : mapping of str to Geometry, optional
        Geometries by name of the image. Required for the formats whose
        `LandmarkFormat.writing_needs_images` is true.

    Raises
    ------
    InputError
        The format is unknown or cannot hold these landmarks, or the file cannot be written.
    """
    known = output_format(path)
    if known.write is None:
        raise InputError(f"{path}: landmarks of this format can only be read")
    known.write(path, sets, geometries=geometries)


def _by_suffix(
    path: str | Path, formats: list[LandmarkFormat] | tuple[LandmarkFormat, ...]
) -> LandmarkFormat:
    name = Path(path).name.lower()
    found = [(len(suffix), known) for known in formats for suffix in known.suffixes if name.endswith(suffix)]
    if not found:
        raise InputError(f"{path}: not a known landmark format; known are {_suffixes()}")
    # The longest suffix decides: '.mrk.json' before '.json'.
    return max(found, key=lambda pair: pair[0])[1]


def _suffixes() -> str:
    return ", ".join(suffix for known in landmark_formats() for suffix in known.suffixes)


def _refusal(added: object, formats: list[LandmarkFormat]) -> str:
    """Reason to leave out what an entry point gives; empty where it can be used."""
    if not isinstance(added, LandmarkFormat):
        return "it is no LandmarkFormat"
    if added.read is None and added.write is None:
        return "it has neither a reader nor a writer"
    if not added.suffixes or not all(
        s.startswith(".") and s == s.lower() and len(s) > 1 for s in added.suffixes
    ):
        return "its suffixes must be lower case and begin with a dot"
    if added.unit not in tuple(Unit):
        return f"its unit is {added.unit!r}"
    for known in formats:
        if taken := set(known.suffixes) & set(added.suffixes):
            return f"the suffix {min(taken)} is taken by {known.title}"
    return ""
