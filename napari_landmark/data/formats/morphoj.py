"""Text table for MorphoJ, ``.morphoj.txt``: a row of raw coordinates for each image, separated by tabs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.formats.image_names import ImageNames, common_schema
from napari_landmark.data.formats.landmark_format import LandmarkFormat
from napari_landmark.data.formats.text_file import check_one_line, pixels, write_text
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSet

_AXES = ("x", "y", "z")


def write_morphoj(
    path: str | Path,
    sets: Mapping[str, LandmarkSet],
    *,
    geometries: Mapping[str, Geometry] | None = None,
) -> None:
    """Write the landmarks of many images in the order of the schema, without their names.

    Coordinates are millimetres where the spacing of all images is known, pixels where that of none is. y of pictures
    points upwards, as MorphoJ draws it: it is the negative row, so that shapes are no mirror images.

    Parameters
    ----------
    path : str or Path
        The file.
    sets : mapping of str to LandmarkSet
        Landmarks by name of the image.
    geometries : mapping of str to Geometry, optional
        For millimetres.

    Raises
    ------
    InputError
        A landmark has no position, which MorphoJ cannot read; pictures and volumes, or known and unknown spacings, are
        mixed; or pixels are not square.
    """
    if not sets:
        raise InputError(f"{path}: no images to write")
    names = common_schema(sets.values()).names
    spaced = _spaced(sets, geometries, path)
    axes = {marks.ndim for marks in sets.values() if marks.ndim is not None}
    if len(axes) > 1:
        raise InputError(f"{path}: pictures and volumes do not fit in one file: write one for each")
    ndim = next(iter(axes), 2)
    titles = [f"{axis}{number}" for number in range(1, len(names) + 1) for axis in _AXES[:ndim]]
    lines = ["\t".join(["id", *titles])]
    for image, marks in sets.items():
        check_one_line(image, path)
        positions = []
        for name in names:
            mark = marks.get(name)
            if mark is None or mark.position is None:
                raise InputError(
                    f"{image}: landmark {name!r} has no position, and {path} cannot hold a missing one: place it, or "
                    "leave "
                    "the image or the landmark out"
                )
            positions.append(mark.position)
        rows = np.array(positions, dtype=np.float64)
        geometry = spaced.get(image)
        if geometry is not None:
            rows = geometry.to_world(rows)
        if ndim == 2:
            rows = rows * (-1, 1)
        values = [repr(pixels(value)) for value in rows[:, ::-1].ravel().tolist()]
        lines.append("\t".join([image.replace("\t", " "), *values]))
    write_text(path, "".join(line + "\n" for line in lines))


def unit_note(sets: Mapping[str, LandmarkSet], *, geometries: Mapping[str, Geometry] | None = None) -> str:
    """One line on the unit of the file that `write_morphoj` writes, where it is pixels."""
    return (
        ""
        if _spaced(sets, geometries, "")
        else "coordinates are in pixels: sizes of different images do not compare"
    )


MORPHOJ = LandmarkFormat(
    title="MorphoJ table", suffixes=(".morphoj.txt",), write=write_morphoj, has_names=False, note=unit_note
)


def _spaced(
    sets: Mapping[str, LandmarkSet], geometries: Mapping[str, Geometry] | None, path: str | Path
) -> dict[str, Geometry]:
    """Geometries of all images, or of none where no spacing is known; InputError for a mixture."""
    known = ImageNames(geometries)
    names = {image: known.find(image) for image in sets}
    found = {
        image: geometries[name]
        for image, name in names.items()
        if name is not None and geometries is not None and geometries[name].has_spacing
    }
    if found and len(found) < len(sets):
        image = next(image for image in sets if image not in found)
        raise InputError(
            f"{path}: the spacing of {image} is not known, that of others is, and pixels are not compared with "
            "millimetres",
            code=ErrorCode.NEEDS_SPACING,
        )
    return found
