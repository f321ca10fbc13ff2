"""Landmark format of 3D Slicer: a point list, ``.mrk.json`` (markups schema 1.0)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from napari_landmark.data.curves import Curve, curves_among, resample_curve
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.formats.landmark_format import LandmarkFormat, Unit
from napari_landmark.data.formats.slicer_points import SlicerPoint, landmark_set, read_lps, single_set
from napari_landmark.data.formats.text_file import read_json, shown, write_json
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.links import Link

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
_STATUS = {
    "defined": Status.PLACED,
    "missing": Status.MISSING,
    "undefined": Status.UNPLACED,
    "preview": Status.PREDICTED,  # 3D Slicer shows it, and nobody confirmed it
}
_NAMES = {Status.PLACED: "defined", Status.MISSING: "missing", Status.UNPLACED: "undefined"}
_CURVES = ("Curve", "ClosedCurve")
_SAME_MM = 1e-6
_MILLIMETRES = {"mm": 1.0, "um": 1e-3}
# Axes of a point along right, anterior and superior, the default of Slicer, in LPS.
_ORIENTATION = [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]


def read_slicer_json(
    path: str | Path,
    *,
    schema: LandmarkSchema | None = None,
    geometries: Mapping[str, Geometry] | None = None,
) -> dict[str, LandmarkSet]:
    """Read the point lists of a file as the landmarks of one image.

    The file does not name its image. It is the image with the name of the file, else with the name of the point
    list, else the only one in `geometries`. A point with the status 'preview' is a predicted landmark.

    A curve gives the semilandmarks of the curve of its name: those of its points that are labelled as they are;
    else, where the schema has a curve of that name, its points are resampled by arc length. Other curves, lines,
    planes and the like are left out.

    Parameters
    ----------
    path : str or Path
        The file.
    schema : LandmarkSchema, optional
        Landmarks that may occur; those of the file if not given, with the descriptions as definitions.
    geometries : mapping of str to Geometry
        The images it may be for, by name: positions in the file are in mm.

    Raises
    ------
    InputError
        With the file and the point.
    """
    path = Path(path)
    data = read_json(path)
    markups = data.get("markups")
    if not isinstance(markups, list):
        raise InputError(f"{path}: has no list 'markups': save the point list in 3D Slicer again")
    lists = [m for m in markups if isinstance(m, dict) and m.get("type", "Fiducial") == "Fiducial"]
    points: list[SlicerPoint] = []
    for markup in lists:
        points += _points(path, markup, len(points))
    found = [curve for m in markups if isinstance(m, dict) and (curve := _curve(path, m, schema)) is not None]
    points = _with_curves(path, points, [semilandmarks for semilandmarks, _ in found])
    if not points:
        raise InputError(f"{path}: holds no point list with a point in it: place points in 3D Slicer")
    names = [str(markup.get("name", "")) for markup in lists]
    if schema is None and (
        curves := curves_among((c for _, c in found if c is not None), [p.label for p in points])
    ):
        sets = landmark_set(path, points, inner_names=names, schema=None, geometries=geometries)
        return {image: _with_schema_curves(marks, curves) for image, marks in sets.items()}
    return landmark_set(path, points, inner_names=names, schema=schema, geometries=geometries)


def write_slicer_json(
    path: str | Path,
    sets: Mapping[str, LandmarkSet],
    *,
    geometries: Mapping[str, Geometry] | None = None,
) -> None:
    """Write the landmarks of one image as a point list in mm and LPS.

    A missing landmark is a point with the status 'missing', an unplaced one has 'undefined'. The
    description of a point holds the landmark's definition, and in brackets what the format has no field
    for: whether it was predicted or corrected, confidence, expected error. Links between landmarks that have a
    position are lines and curves beside the point list, and so is each curve of the schema, through the landmarks at
    its ends and its semilandmarks.

    Parameters
    ----------
    path : str or Path
        The file.
    sets : mapping of str to LandmarkSet
        One image's landmarks.
    geometries : mapping of str to Geometry
        With the geometry of that image, whose spacing must be known.
    """
    image, points = single_set(path, sets, geometries)
    markup = {
        "type": "Fiducial",
        "name": image,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": len(points),
        "controlPoints": [_written(number, point) for number, point in enumerate(points, 1)],
        "measurements": [],
        "display": {"visibility": True, "pointLabelsVisibility": True},
    }
    ((_, landmarks),) = sets.items()
    at = {point.label: point for point in points if point.lps is not None}
    taken = {curve.name for curve in landmarks.schema.curves}
    links = [
        _written_link(link, at, taken) for link in landmarks.schema.links if at.keys() >= set(link.landmarks)
    ]
    by_name = {point.label: point for point in points}
    curves = [_written_curve(curve, by_name) for curve in landmarks.schema.curves]
    write_json(path, {"@schema": _SCHEMA, "markups": [markup, *links, *curves]})


SLICER_JSON = LandmarkFormat(
    title="Slicer markups",
    suffixes=(".mrk.json",),
    unit=Unit.MILLIMETRES,
    one_image=True,
    read=read_slicer_json,
    write=write_slicer_json,
    reading_needs_images=True,
    writing_needs_images=True,
)


def _points(path: Path, markup: dict[str, Any], before: int) -> list[SlicerPoint]:
    system = markup.get("coordinateSystem", "LPS")
    if system not in ("LPS", "RAS"):
        raise InputError(f"{path}: has the coordinate system {shown(system)}: expected LPS or RAS")
    units = markup.get("coordinateUnits", "mm")
    code = units[0] if isinstance(units, list) and units else units
    if not isinstance(code, str) or code not in _MILLIMETRES:
        raise InputError(f"{path}: has positions in {shown(units)}: expected mm or um")
    content = markup.get("controlPoints", [])
    if not isinstance(content, list):
        raise InputError(f"{path}: 'controlPoints' is no list: save the point list in 3D Slicer again")
    points = []
    for number, point in enumerate(content, before + 1):
        where = f"{path}, point {number}"
        if not isinstance(point, dict):
            raise InputError(f"{where}: is no JSON object: save the point list in 3D Slicer again")
        label = point.get("label")
        if not isinstance(label, str) or not label.strip():
            raise InputError(f"{where}: has no label: give it the landmark's name in 3D Slicer")
        position, status = point.get("position"), point.get("positionStatus", "defined")
        if not isinstance(status, str) or status not in _STATUS:
            raise InputError(f"{where}: has the status {shown(status)}: expected one of {', '.join(_STATUS)}")
        state = _STATUS[status]
        if state is Status.PREDICTED and not isinstance(position, list):
            state = Status.UNPLACED
        lps = None
        if state.has_position:
            if not isinstance(position, list):
                raise InputError(
                    f"{where}: {shown(label)} has no position and the status 'defined': place it"
                )
            lps = read_lps(position, system, where, millimetres=_MILLIMETRES[code])
        description = point.get("description", "")
        text = description if isinstance(description, str) else ""
        points.append(SlicerPoint(label.strip(), lps, state, text, where))
    return points


def _written_link(link: Link, points: Mapping[str, SlicerPoint], taken: Collection[str]) -> dict[str, Any]:
    """Line of two landmarks, or open or closed curve; none of a taken name, by which a curve is read."""
    name = link.name or " - ".join(link.landmarks)
    kind = "ClosedCurve" if link.closed else "Line" if len(link.landmarks) == 2 else "Curve"
    return {
        "type": kind,
        "name": f"{name} (link)" if name in taken else name,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": True,
        "fixedNumberOfControlPoints": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": len(link.landmarks),
        "controlPoints": [_written(number, points[name]) for number, name in enumerate(link.landmarks, 1)],
        "measurements": [],
        "display": {"visibility": True, "pointLabelsVisibility": False},
    }


def _curve(
    path: Path, markup: dict[str, Any], schema: LandmarkSchema | None
) -> tuple[list[SlicerPoint], Curve | None] | None:
    """Semilandmarks of a markups curve, and the curve itself where its points are labelled; None for other markups."""
    name = markup.get("name")
    if markup.get("type") not in _CURVES or not isinstance(name, str) or not name.strip():
        return None
    name = composed_name(name.strip())
    points = _points(path, markup, 0)
    labels = {f"{name}[{number}]" for number in range(1, len(points) + 1)}
    labelled = [point for point in points if composed_name(point.label) in labels]
    if labelled:
        closed = markup["type"] == "ClosedCurve"  # whose last point joins the first
        inner, last = (points[1:], points[0]) if closed else (points[1:-1], points[-1])
        whole = bool(inner) and inner == labelled
        return labelled, Curve(name, points[0].label, last.label, len(labelled)) if whole else None
    known = None if schema is None else next((curve for curve in schema.curves if curve.name == name), None)
    drawn = [point.lps for point in points if point.lps is not None]
    if known is None or len(drawn) < 2:
        return None
    try:
        placed = resample_curve(drawn, start=drawn[0], end=drawn[-1], count=known.count)
    except InputError as error:
        raise error.prefixed(f"{path}, curve {name!r}") from None
    return [
        SlicerPoint(label, (x, y, z), Status.PLACED, "", f"{path}, curve {name!r}")
        for label, (x, y, z) in zip(known.semilandmarks, placed.tolist(), strict=True)
    ], None


def _with_curves(path: Path, points: list[SlicerPoint], curves: list[list[SlicerPoint]]) -> list[SlicerPoint]:
    """Points of the lists, and semilandmarks of curves that the lists have not.

    Where a list and a curve have different positions, nothing tells which one was moved.
    """
    known = {composed_name(point.label): point for point in points}
    added = []
    for point in (point for curve in curves for point in curve):
        twin = known.get(composed_name(point.label))
        if twin is None:
            known[composed_name(point.label)] = point
            added.append(point)
        elif (twin.lps is None) != (point.lps is None) or (
            twin.lps is not None and point.lps is not None and math.dist(twin.lps, point.lps) > _SAME_MM
        ):
            raise InputError(
                f"{path}: the point {point.label!r} is at one position in the point list and at another one on its "
                "curve: "
                "delete one of both in 3D Slicer"
            )
    return [*points, *added]


def _with_schema_curves(marks: LandmarkSet, curves: tuple[Curve, ...]) -> LandmarkSet:
    schema = dataclasses.replace(marks.schema, curves=curves)
    return LandmarkSet(schema, marks.values(), image_state=marks.image_state)


def _written_curve(curve: Curve, points: dict[str, SlicerPoint]) -> dict[str, Any]:
    chain = curve.chain[:-1] if curve.is_closed else curve.chain
    return {
        "type": "ClosedCurve" if curve.is_closed else "Curve",
        "name": curve.name,
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": False,
        "labelFormat": "%N-%d",
        "lastUsedControlPointNumber": len(chain),
        "controlPoints": [_written(number, points[name]) for number, name in enumerate(chain, 1)],
        "measurements": [],
        "display": {"visibility": True, "pointLabelsVisibility": False},
    }


def _written(number: int, point: SlicerPoint) -> dict[str, Any]:
    return {
        "id": str(number),
        "label": point.label,
        "description": point.description,
        "associatedNodeID": "",
        **({} if point.lps is None else {"position": list(point.lps)}),
        "orientation": _ORIENTATION,
        "selected": True,
        "locked": False,
        "visibility": True,
        "positionStatus": _NAMES[point.status],
    }
