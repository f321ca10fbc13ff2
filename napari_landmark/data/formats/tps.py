"""Landmark format of tpsDig and other programs of geometric morphometrics, ``.tps``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_landmark.data.curves import resample_curve
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
    curves: list[list[tuple[float, ...] | None]] = field(default_factory=list)
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
    is NA or all its coordinates are negative. SCALE is not used, outlines are left out.

    Where the schema has curves, they are read from CURVES=, in the order of the schema: as many points as the curve has
    semilandmarks, or two more with both ends, or any other number of points, which are then resampled by arc length.
    Files that have the semilandmarks among the landmarks are read as well. Without curves in the schema, those of
    the file are left out.

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
    names = schema.names
    fixed = _fixed_names(schema)
    in_curves = given and count == len(fixed) < len(names)
    if in_curves:
        names = fixed
    known = ImageNames(geometries)
    sets: dict[str, LandmarkSet] = {}
    for number, specimen in enumerate(specimens, 1):
        where = f"{path}, line {specimen.line}"
        if given and len(specimen.points) != len(names):
            either = f" ({len(fixed)} without the semilandmarks)" if len(fixed) < len(schema) else ""
            raise InputError(
                f"{where}: has {len(specimen.points)} landmarks, and {len(schema)} names are given{either}: the order "
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
                _landmark(name, point, height) for name, point in zip(names, specimen.points, strict=True)
            ]
            if in_curves:
                geometry = None if geometries is None else geometries.get(image)
                marks += _semilandmarks(schema, marks, specimen, height, geometry)
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

    Landmarks without a position are written as -1. SCALE, millimetres for a pixel, is written where the spacing of
    every image is known and the same along all axes: programs would otherwise compare pixels with millimetres
    (`scale_note`). Semilandmarks of the schema's curves are written as CURVES=, without the landmarks at their ends.

    Parameters
    ----------
    path : str or Path
        The file.
    sets : mapping of str to LandmarkSet
        Landmarks by name of the image.
    geometries : mapping of str to Geometry
        Geometries by name of the image, for heights and scales. Volumes do not need them.
    """
    schema = common_schema(sets.values()) if sets else None
    names = () if schema is None else _fixed_names(schema)
    known = ImageNames(geometries)
    scaled = not _unscaled(sets, geometries)
    lines: list[str] = []
    for number, (image, landmarks) in enumerate(sets.items()):
        check_one_line(image, path)
        found = known.find(image)
        geometry = None if found is None or geometries is None else geometries[found]
        axes = landmarks.ndim or (2 if geometry is None else geometry.ndim)
        lines.append(f"LM={len(names)}" if axes == 2 else f"LM3={len(names)}")
        lines += _rows_of(names, image, landmarks, axes, geometry, path)
        curves = () if schema is None else schema.curves
        if curves:
            lines.append(f"CURVES={len(curves)}")
        for curve in curves:
            lines.append(f"POINTS={curve.count}" if axes == 2 else f"POINTS3={curve.count}")
            lines += _rows_of(curve.semilandmarks, image, landmarks, axes, geometry, path)
        lines += [f"IMAGE={image}", f"ID={number}"]
        if scaled and geometry is not None and geometry.spacing is not None:
            lines.append(f"SCALE={geometry.spacing[0]!r}")
    # tpsDig is a program for Windows.
    write_text(path, "".join(line + "\r\n" for line in lines))


def scale_note(sets: Mapping[str, LandmarkSet], *, geometries: Mapping[str, Geometry] | None = None) -> str:
    """One line where the file that `write_tps` writes has no SCALE although some images have a spacing."""
    unscaled = _unscaled(sets, geometries)
    if not unscaled or (len(unscaled) == len(sets) and not any("square" in why for why in unscaled.values())):
        return ""
    image, why = next(iter(unscaled.items()))
    more = f", and {len(unscaled) - 1} more like it" if len(unscaled) > 1 else ""
    return f"coordinates are in pixels without SCALE, which has to be known of all images: {image} has {why}{more}"


TPS = LandmarkFormat(
    title="TPS for shape analysis",
    suffixes=(".tps",),
    read=read_tps,
    write=write_tps,
    reading_needs_images=True,
    writing_needs_images=True,
    has_names=False,
    note=scale_note,
)


def _fixed_names(schema: LandmarkSchema) -> tuple[str, ...]:
    """Names of the landmarks that are no semilandmarks of a curve."""
    sliding = {name for curve in schema.curves for name in curve.semilandmarks}
    return tuple(name for name in schema.names if name not in sliding)


def _unscaled(sets: Mapping[str, LandmarkSet], geometries: Mapping[str, Geometry] | None) -> dict[str, str]:
    """Images that can have no SCALE, with the reason."""
    known, found = ImageNames(geometries), {}
    for image in sets:
        name = known.find(image)
        geometry = None if name is None or geometries is None else geometries[name]
        if geometry is None or geometry.spacing is None:
            found[image] = "no known spacing"
        elif len(set(geometry.spacing)) > 1:
            found[image] = "pixels that are not square, in which shapes are distorted"
    return found


def _rows_of(
    names: Sequence[str],
    image: str,
    landmarks: LandmarkSet,
    axes: int,
    geometry: Geometry | None,
    path: str | Path,
) -> list[str]:
    marks = (landmarks.get(name) for name in names)
    return [
        _written(image, name, None if mark is None else mark.position, axes, geometry, path)
        for name, mark in zip(names, marks, strict=True)
    ]


def _semilandmarks(
    schema: LandmarkSchema,
    marks: Sequence[Landmark],
    specimen: _Specimen,
    height: int,
    geometry: Geometry | None,
) -> list[Landmark]:
    """Semilandmarks of the curves of a specimen; unplaced where it has no curves."""
    if not specimen.curves:
        return []
    if len(specimen.curves) != len(schema.curves):
        raise InputError(
            f"has {len(specimen.curves)} curves, and {len(schema.curves)} are given: their order is all that "
            "tells them "
            "apart, so both must agree"
        )
    ends = {mark.name: mark.position for mark in marks}
    found = []
    for curve, points in zip(schema.curves, specimen.curves, strict=True):
        drawn = [_landmark(curve.name, point, height) for point in points]
        if len(drawn) == curve.count + 2:
            drawn = drawn[1:-1]
        if len(drawn) != curve.count:
            path = [mark.position for mark in drawn if mark.position is not None]
            if len(path) < 2:
                continue
            start, end = ends[curve.start] or path[0], ends[curve.end] or path[-1]
            spacing = None if geometry is None else geometry.spacing
            try:
                placed = resample_curve(path, start=start, end=end, count=curve.count, spacing=spacing)
            except InputError as error:
                raise error.prefixed(f"curve {curve.name!r}") from None
            drawn = [Landmark(curve.name, tuple(row), Status.PLACED) for row in placed.tolist()]
        found += [
            dataclasses.replace(mark, name=name)
            for name, mark in zip(curve.semilandmarks, drawn, strict=True)
        ]
    return found


def _parse(path: Path) -> list[_Specimen]:
    specimens: list[_Specimen] = []
    text = read_text(path).rstrip("\x1a\r\n")  # DOS ends a text with Ctrl-Z
    lines = iter(enumerate(text.splitlines(), 1))
    section = ""
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
            specimen, section = _Specimen(number, 2 if key == "LM" else 3), ""
            rows = _rows(lines, _count(value, where), where)
            specimen.points = [_point(row, specimen.axes, f"{path}, line {at}") for at, row in rows]
            specimens.append(specimen)
        elif key in ("CURVES", "OUTLINES"):
            section = key
        elif key in ("POINTS", "POINTS3"):
            rows = _rows(lines, _count(value, where), where)
            if section == "CURVES" and specimens:
                axes = 3 if key == "POINTS3" else specimens[-1].axes
                specimens[-1].curves.append([_point(row, axes, f"{path}, line {at}") for at, row in rows])
            else:
                for _ in rows:
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
