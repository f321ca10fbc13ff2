"""Landmark format of older versions of 3D Slicer: a point list, ``.fcsv``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.landmark_format import LandmarkFormat, Unit
from napari_landmark.data.formats.slicer_points import SlicerPoint, landmark_set, read_lps, single_set
from napari_landmark.data.formats.text_file import read_text, write_text
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status

_COLUMNS: tuple[str, ...] = (
    "id",
    "x",
    "y",
    "z",
    "ow",
    "ox",
    "oy",
    "oz",
    "vis",
    "sel",
    "lock",
    "label",
    "desc",
    "associatedNodeID",
)
# Versions before 4.11 wrote a number, files without the line are RAS, too.
_SYSTEMS = {"0": "RAS", "1": "LPS", "RAS": "RAS", "LPS": "LPS"}
# Slicer 5 adds the status of the position behind the columns it names.
_STATUS_COLUMN = len(_COLUMNS)
_STATUS = {"0": Status.UNPLACED, "1": Status.PREDICTED, "2": Status.PLACED, "3": Status.MISSING}
_TRAILING_COLUMNS = 2  # that status, and another number


def read_fcsv(
    path: str | Path,
    *,
    schema: LandmarkSchema | None = None,
    geometries: Mapping[str, Geometry] | None = None,
) -> dict[str, LandmarkSet]:
    """Read a point list as the landmarks of one image.

    The image is found as by `read_slicer_json`.

    Parameters
    ----------
    path : str or Path
        The file, of Slicer 4 or 5.
    schema : LandmarkSchema, optional
        Landmarks that may occur; those of the file if not given, with the descriptions as definitions.
    geometries : mapping of str to Geometry
        The images it may be for, by name: positions in the file are in mm.

    Raises
    ------
    InputError
        With the file and the line.
    """
    path = Path(path)
    system, columns = "RAS", _COLUMNS
    points: list[SlicerPoint] = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        where = f"{path}, line {number}"
        if line.startswith("#"):
            key, equals, value = line.lstrip("# ").partition("=")
            if equals and key.strip() == "CoordinateSystem":
                if value.strip() not in _SYSTEMS:
                    raise InputError(f"{where}: coordinate system {value.strip()!r}: expected LPS or RAS")
                system = _SYSTEMS[value.strip()]
            elif equals and key.strip() == "columns":
                columns = tuple(name.strip() for name in value.split(","))
        elif line.strip():
            points.append(_point(line, columns, system, where))
    if not points and schema is None:
        raise InputError(f"{path}: holds no points: place points in 3D Slicer")
    return landmark_set(path, points, inner_names=(), schema=schema, geometries=geometries)


def write_fcsv(
    path: str | Path,
    sets: Mapping[str, LandmarkSet],
    *,
    geometries: Mapping[str, Geometry] | None = None,
) -> None:
    """Write the landmarks of one image that have a position, in mm and LPS.

    Landmarks without a position are left out: programs that read this format take every line for a point.

    Parameters
    ----------
    path : str or Path
        The file.
    sets : mapping of str to LandmarkSet
        One image's landmarks.
    geometries : mapping of str to Geometry
        With the geometry of that image, whose spacing must be known.
    """
    _, points = single_set(path, sets, geometries)
    lines = [
        "# Markups fiducial file version = 5.6",
        "# CoordinateSystem = LPS",
        f"# columns = {','.join(_COLUMNS)}",
    ]
    placed = [(point, point.lps) for point in points if point.lps is not None]
    for number, (point, lps) in enumerate(placed, 1):
        numbers = (number, *lps, 0, 0, 0, 1, 1, 1, 0)
        words = (_quoted(point.label), _quoted(" ".join(point.description.split())), "")
        lines.append(",".join((*map(repr, numbers), *words, "2", "0")))
    write_text(path, "\n".join(lines) + "\n")


SLICER_FCSV = LandmarkFormat(
    title="Slicer fiducials",
    suffixes=(".fcsv",),
    unit=Unit.MILLIMETRES,
    one_image=True,
    read=read_fcsv,
    write=write_fcsv,
    reading_needs_images=True,
    writing_needs_images=True,
)


def _point(line: str, columns: tuple[str, ...], system: str, where: str) -> SlicerPoint:
    try:
        (cells,) = csv.reader([line])
    except (csv.Error, ValueError) as error:
        raise InputError(
            f"{where}: is not a readable line ({error}): save the list in 3D Slicer again"
        ) from None
    if len(cells) > len(columns) + _TRAILING_COLUMNS:
        raise InputError(
            f"{where}: has {len(cells)} cells, the columns are {len(columns)}: is a decimal comma in it? "
            "Save the list in 3D Slicer again"
        )
    row = dict(zip(columns, cells, strict=False))
    label = row.get("label", "").strip()
    if not label:
        raise InputError(f"{where}: has no label: give the point the landmark's name in 3D Slicer")
    code = cells[_STATUS_COLUMN].strip() if len(cells) > _STATUS_COLUMN and columns == _COLUMNS else "2"
    if code not in _STATUS:
        raise InputError(f"{where}: has the status {code!r}: expected 0 to 3")
    lps = None
    if _STATUS[code].has_position:
        lps = read_lps([row.get(axis, "") for axis in "xyz"], system, where)
    return SlicerPoint(label, lps, _STATUS[code], row.get("desc", ""), where)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if "," in cell or '"' in cell else cell
