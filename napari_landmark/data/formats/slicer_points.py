"""Common part of the two point list formats of 3D Slicer: millimetres, and one image in a file.

World positions of `Geometry` come from ITK, hence are LPS in the order z, y, x; Slicer's files hold x, y, z.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import ErrorCode, InputError, UnknownImageError, UnknownSpacingError
from napari_landmark.data.formats.image_names import find_image, image_stem
from napari_landmark.data.formats.state_note import StateNote
from napari_landmark.data.formats.text_file import check_count, finite_number
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status

XYZ = tuple[float, float, float]


@dataclass(frozen=True)
class SlicerPoint:
    """A control point of a file.

    Parameters
    ----------
    label : str
        Name of the landmark.
    lps : tuple of float, optional
        x, y, z in mm, towards left, posterior and superior; None without a position.
    status : Status
        PLACED, MISSING, UNPLACED or, for a preview that the user has not confirmed, PREDICTED.
    description : str
        Definition of the landmark, with a `StateNote` behind it.
    where : str
        File and point or line, for error messages.
    """

    label: str
    lps: XYZ | None
    status: Status
    description: str
    where: str


def read_lps(values: Sequence[object], system: str, where: str, *, millimetres: float = 1.0) -> XYZ:
    """Three numbers of a file as LPS in mm, from the coordinate system LPS or RAS."""
    if len(values) != 3:
        raise InputError(f"{where}: a position of {len(values)} values: expected x, y and z")
    x, y, z = (
        finite_number(value, f"{where}: {axis}") * millimetres
        for axis, value in zip("xyz", values, strict=True)
    )
    return (x, y, z) if system == "LPS" else (-x, -y, z)


def landmark_set(
    path: Path,
    points: Sequence[SlicerPoint],
    *,
    inner_names: Iterable[str],
    schema: LandmarkSchema | None,
    geometries: Mapping[str, Geometry] | None,
) -> dict[str, LandmarkSet]:
    """The landmarks of a file by the name of its image, converted from millimetres to index coordinates."""
    check_count(len(points), path)
    image = _image_of(path, inner_names, geometries)
    geometry = (geometries or {})[image]
    if not geometry.has_spacing:
        raise UnknownSpacingError(
            f"{path}: holds millimetres, and the distance between the pixels of {image} is not known"
        )
    notes = [StateNote.split_text(point.description) for point in points]
    if schema is None:
        try:
            names, texts = tuple(p.label for p in points), tuple(text for text, _ in notes)
            schema = LandmarkSchema(names, (), texts)
        except InputError as error:
            raise error.prefixed(path) from None
    positions = iter(_to_index(path, [p.lps for p in points if p.lps is not None], geometry))
    marks: dict[str, Landmark] = {}
    for point, (_, note) in zip(points, notes, strict=True):
        position = None if point.lps is None else tuple(next(positions).tolist())
        try:
            schema.index(point.label)
            if note is None:
                mark = Landmark(point.label, position, point.status)
            else:
                mark = note.landmark(point.label, position, point.lps, point.status)
        except InputError as error:
            raise error.prefixed(point.where) from None
        if mark.name in marks:
            raise InputError(f"{point.where}: landmark {mark.name!r} is there twice: rename one of them")
        marks[mark.name] = mark
    return {image: LandmarkSet(schema, marks.values())}


def single_set(
    path: str | Path, sets: Mapping[str, LandmarkSet], geometries: Mapping[str, Geometry] | None
) -> tuple[str, list[SlicerPoint]]:
    """The only image of `sets` and its points in millimetres.

    Every landmark of the schema has a point, those without a position, too.

    Raises
    ------
    InputError
        There are several images, or the geometry or its spacing is unknown.
    """
    if len(sets) != 1:
        raise InputError(
            f"{path}: a file of this format holds one image, here are {len(sets)}: write one file for each, "
            "with {image} in the name of the file"
        )
    ((image, landmarks),) = sets.items()
    geometry = (geometries or {}).get(image)
    if geometry is None:
        raise InputError(
            f"{path}: is written in millimetres, for which the image {image} is needed",
            code=ErrorCode.NEEDS_IMAGES_AND_SPACING,
        )
    if not geometry.has_spacing:
        raise UnknownSpacingError(
            f"{path}: is written in millimetres, and the distance between the pixels of {image} is not known"
        )
    points = []
    for mark, definition in zip(landmarks.values(), landmarks.schema.definitions, strict=True):
        lps = None if mark.position is None else _to_lps(image, mark, geometry)
        note = StateNote.of(mark, lps)
        words = [definition.strip()] if definition.strip() else []
        description = " ".join(words if note is None else [*words, note.to_text()])
        missing = mark.status is Status.PREDICTED_MISSING
        status = Status.PLACED if lps is not None else Status.MISSING if missing else mark.status
        points.append(SlicerPoint(mark.name, lps, status, description, str(path)))
    return image, points


def _image_of(path: Path, inner_names: Iterable[str], geometries: Mapping[str, Geometry] | None) -> str:
    """Name of the image of a file: by the name of the file, a name inside, or the only known image."""
    if not geometries:
        raise InputError(
            f"{path}: holds millimetres: the image is needed to convert them to pixels",
            code=ErrorCode.NEEDS_IMAGES_TO_READ,
        )
    end = ".mrk.json" if path.name.lower().endswith(".mrk.json") else path.suffix
    stem = path.name.removesuffix(path.name[len(path.name) - len(end) :])
    found: dict[str, str] = {}
    try:
        for name in (stem, *inner_names):
            image = find_image(name, geometries) if name.strip() else None
            if image is not None:
                found.setdefault(image, name)
    except InputError as error:
        raise error.prefixed(path) from None
    if len(found) > 1:
        first, second = list(found)[:2]
        raise InputError(
            f"{path}: is called as image {first} is and says inside that it belongs to {second}: rename the file"
        )
    if found:
        return next(iter(found))
    if len(geometries) == 1:
        return next(iter(geometries))
    raise UnknownImageError(
        f"{path}: none of the {len(geometries)} images is called {stem!r}: call the file after its image, "
        f"{image_stem(next(iter(geometries)))}{end} for {next(iter(geometries))}"
    )


def _to_lps(image: str, mark: Landmark, geometry: Geometry) -> XYZ:
    if mark.position is None or len(mark.position) != geometry.ndim:
        raise InputError(
            f"{image}: landmark {mark.name!r} has not as many coordinates as the image has axes "
            f"({geometry.ndim})"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        world = geometry.to_world([mark.position])[0][::-1]
    if not np.isfinite(world).all():
        raise InputError(f"{image}: landmark {mark.name!r} is too far away to be written")
    # A picture is a volume of one slice at z = 0.
    x, y, z = (*world.tolist(), 0.0)[:3]
    return x + 0.0, y + 0.0, z + 0.0


def _to_index(path: Path, lps: Sequence[XYZ], geometry: Geometry) -> NDArray[np.float64]:
    points = np.asarray(lps, dtype=np.float64).reshape(-1, 3)
    with np.errstate(over="ignore", invalid="ignore"):
        if geometry.ndim == 2 and len(points):
            if np.ptp(points[:, 2]) > (geometry.mean_spacing or 0):
                raise InputError(
                    f"{path}: its points lie at several z, and the image is a picture: this is another image's "
                    "file"
                )
            points = points[:, :2]
        index = geometry.to_index(points[:, ::-1]) if len(points) else np.empty((0, geometry.ndim))
    if not np.isfinite(index).all():
        raise InputError(f"{path}: holds a position that is too far away to be one")
    return index
