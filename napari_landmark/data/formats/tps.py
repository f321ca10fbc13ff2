"""Landmark format of tpsDig and other programs of geometric morphometrics, ``.tps``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.formats.image_names import ImageNames, common_schema
from napari_landmark.data.formats.landmark_format import LandmarkFormat
from napari_landmark.data.formats.text_file import (
    check_count,
    check_one_line,
    finite_number,
    pixels,
    read_text,
    write_text,
)
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status

_NOT_AVAILABLE = ("na", "nan")


@dataclass
class _Specimen:
    """One image of a file: coordinates x, y[, z] of the file, None for a missing landmark."""

    line: int
    axes: int
    points: list[tuple[float, ...] | None] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


def read_tps(
    path: str | Path,
    *,
    schema: LandmarkSchema | None = None,
    geometries: Mapping[str, Geometry] | None = None,
) -> dict[str, LandmarkSet]:
    """Read the landmarks of many images.

    The file counts y from the bottom: row = height - 1 - y, with pixel centres at integers. It has no
    names: those of the schema are taken in order, else LM1, LM2 and so on. A landmark is missing where it
    is NA or all its coordinates are negative. Curves and outlines are left out, SCALE is not used.

    Parameters
    ----------
    path : str or Path
        The file.
    schema : LandmarkSchema, optional
        Names in the order of the file; as many as every image has landmarks. Without them, all images have
        the same number of landmarks.
    geometries : mapping of str to Geometry
        Geometries by name of the image, for the heights. Not needed for three coordinates (LM3).

    Raises
    ------
    InputError
        With the file and the line.
    """
    path = Path(path)
    specimens = _parse(path)
    if not specimens:
        raise InputError(f"{path}: holds no line LM= or LM3= with landmarks behind it")
    count = max(len(specimen.points) for specimen in specimens)
    if count == 0:
        raise InputError(
            f"{path}: holds no landmarks, all its specimens have LM=0; curves and outlines are not read: save the "
            "points as landmarks"
        )
    check_count(count, path)
    given = schema is not None
    if schema is None:
        try:
            schema = LandmarkSchema(tuple(f"LM{number}" for number in range(1, count + 1)))
        except InputError as error:
            raise error.prefixed(path) from None
    known = ImageNames(geometries)
    sets: dict[str, LandmarkSet] = {}
    for number, specimen in enumerate(specimens, 1):
        where = f"{path}, line {specimen.line}"
        if given and len(specimen.points) != len(schema):
            raise InputError(
                f"{where}: has {len(specimen.points)} landmarks, and {len(schema)} names are given: the order "
                "of the names is all that tells landmarks apart, so both must agree"
            )
        if len(specimen.points) != count:
            most = next(other.line for other in specimens if len(other.points) == count)
            raise InputError(
                f"{where}: has {len(specimen.points)} landmarks, and the specimen in line {most} has {count}: "
                "the order is all that tells landmarks apart, so write NA NA for those that are missing"
            )
        label = specimen.fields.get("IMAGE") or specimen.fields.get("ID") or f"specimen {number}"
        try:
            image = known.find_or_keep(label)
            height = _height(image, geometries) if specimen.axes == 2 else 0
            marks = [
                _landmark(name, point, height)
                for name, point in zip(schema.names, specimen.points, strict=True)
            ]
            found = LandmarkSet(schema, marks)
        except InputError as error:
            raise error.prefixed(where) from None
        if image in sets:
            raise InputError(f"{where}: the image {image} is there twice: keep one of them")
        sets[image] = found
    return sets


def write_tps(
    path: str | Path,
    sets: Mapping[str, LandmarkSet],
    *,
    geometries: Mapping[str, Geometry] | None = None,
) -> None:
    """Write the landmarks of many images, in the order of the schema, without their names.

    Landmarks without a position are written as -1. SCALE, millimetres for a pixel, is written where the
    spacing is known and the same along all axes.

    Parameters
    ----------
    path : str or Path
        The file.
    sets : mapping of str to LandmarkSet
        Landmarks by name of the image.
    geometries : mapping of str to Geometry
        Geometries by name of the image, for heights and scales. Volumes do not need them.
    """
    names = common_schema(sets.values()).names if sets else ()
    known = ImageNames(geometries)
    lines: list[str] = []
    for number, (image, landmarks) in enumerate(sets.items()):
        check_one_line(image, path)
        found = known.find(image)
        geometry = None if found is None or geometries is None else geometries[found]
        axes = landmarks.ndim or (2 if geometry is None else geometry.ndim)
        lines.append(f"LM={len(names)}" if axes == 2 else f"LM3={len(names)}")
        for name in names:
            mark = landmarks.get(name)
            lines.append(_written(image, name, None if mark is None else mark.position, axes, geometry, path))
        lines += [f"IMAGE={image}", f"ID={number}"]
        if geometry is not None and geometry.spacing is not None and len(set(geometry.spacing)) == 1:
            lines.append(f"SCALE={geometry.spacing[0]!r}")
    # tpsDig is a program for Windows.
    write_text(path, "".join(line + "\r\n" for line in lines))


TPS = LandmarkFormat(
    title="TPS for shape analysis",
    suffixes=(".tps",),
    read=read_tps,
    write=write_tps,
    reading_needs_images=True,
    writing_needs_images=True,
    has_names=False,
)


def _parse(path: Path) -> list[_Specimen]:
    specimens: list[_Specimen] = []
    text = read_text(path).rstrip("\x1a\r\n")  # DOS ends a text with Ctrl-Z
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        key, equals, raw = line.partition("=")
        key, value = key.strip().upper(), raw.strip()
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        if not equals:
            raise InputError(
                f"{where}: expected a line such as LM=4 or IMAGE=name, got {line.strip()[:40]!r}"
            )
        if key in ("LM", "LM3"):
            specimen = _Specimen(number, 2 if key == "LM" else 3)
            rows = _rows(lines, _count(value, where), where)
            specimen.points = [_point(row, specimen.axes, f"{path}, line {at}") for at, row in rows]
            specimens.append(specimen)
        elif key in ("POINTS", "POINTS3"):
            for _ in _rows(lines, _count(value, where), where):
                pass
        elif specimens:
            # The name of a file may begin with a space.
            specimens[-1].fields.setdefault(key, raw if value else "")
    return specimens


def _rows(lines: Iterator[tuple[int, str]], count: int, where: str) -> Iterator[tuple[int, str]]:
    for done in range(count):
        try:
            yield next(lines)
        except StopIteration:
            raise InputError(f"{where}: says {count} points, and the file ends after {done}") from None


def _count(value: str, where: str) -> int:
    if not value.isdecimal() or len(value) > 9:
        raise InputError(f"{where}: expected a number of points, got {value[:40]!r}")
    return int(value)


def _point(row: str, axes: int, where: str) -> tuple[float, ...] | None:
    cells = row.split()
    if len(cells) != axes:
        raise InputError(f"{where}: expected {axes} coordinates, got {row.strip()[:40]!r}")
    if any(cell.lower() in _NOT_AVAILABLE for cell in cells):
        return None
    # Some systems write a decimal comma; between coordinates there are spaces.
    point = tuple(finite_number(cell.replace(",", "."), f"{where}: a coordinate") for cell in cells)
    # Volumes may have negative coordinates: there only -1 on all axes is a missing landmark.
    missing = all(value < 0 for value in point) if axes == 2 else all(value == -1 for value in point)
    return None if missing else point


def _landmark(name: str, point: tuple[float, ...] | None, height: int) -> Landmark:
    if point is None:
        return Landmark(name, None, Status.MISSING)
    if len(point) == 3:
        return Landmark(name, point[::-1], Status.PLACED)
    x, y = point
    return Landmark(name, (height - 1 - y, x), Status.PLACED)


def _height(image: str, geometries: Mapping[str, Geometry] | None) -> int:
    if geometries is None:
        raise InputError(
            f"y is counted from the bottom of the image, and the image {image!r} is needed",
            code=ErrorCode.NEEDS_IMAGES_TO_READ,
        )
    if image not in geometries:
        raise InputError(
            f"y is counted from the bottom of the image, and there is no image {image!r} among those given: add it, "
            "or remove the specimen from the file"
        )
    geometry = geometries[image]
    if geometry.ndim != 2:
        raise InputError(f"{image} is a volume, and the landmarks have two coordinates")
    return geometry.shape[0]


def _written(
    image: str,
    name: str,
    position: tuple[float, ...] | None,
    axes: int,
    geometry: Geometry | None,
    path: str | Path,
) -> str:
    if position is None:
        return " ".join(["-1"] * axes)
    values: tuple[float, ...]
    if axes == 2:
        if geometry is None:
            raise InputError(
                f"{path}: y is counted from the bottom of the image, for which {image} is needed",
                code=ErrorCode.NEEDS_IMAGES,
            )
        if geometry.ndim != 2:
            raise InputError(f"{image}: is a volume, and its landmarks have two coordinates")
        row, column = position
        values = (pixels(column), pixels(geometry.shape[0] - 1 - row))
        lost = all(value < 0 for value in values)
    else:
        values = tuple(map(pixels, position[::-1]))
        lost = all(value == -1 for value in values)
    if lost:
        raise InputError(
            f"{image}: landmark {name!r} lies outside the image, where {path} would say that it is missing: "
            "move it or remove its position"
        )
    return " ".join(f"{value:.6f}" for value in values)
