"""A folder with the slices of one DICOM series, read as one volume. Used through `napari_landmark.data.images.image`.

Slices are put in order by where they lie in the patient, never by name or number. What does not make a grid (a slice
that lacks, two series, a tilted gantry) is refused rather than bent straight.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.data.images.dicom_spacing import dicom_header, plane_spacing
from napari_landmark.data.images.image import series_files
from napari_landmark.data.images.memory_limit import check_fits

_UNEVEN = 0.02  # of the distance between slices
_TURNED = 1e-3
_NEEDED = ("SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns")


class _Slice(NamedTuple):
    path: Path
    series: str
    position: NDArray[np.float64]  # x, y, z in mm of the first pixel
    axes: NDArray[np.float64]  # (2, 3): where columns and rows count up, x, y, z
    shape: tuple[int, int]
    spacing: tuple[float, float] | None


def read_header(folder: Path) -> Geometry:
    """Geometry of the volume, from the headers of all slices."""
    return _ordered(folder)[1]


def read_pixels(folder: Path) -> tuple[NDArray, Geometry]:
    """Luminance [z, y, x] and geometry."""
    slices, geometry = _ordered(folder)
    pictures = []
    from napari_landmark.data.images import itk as itk_file

    for one in slices:
        try:
            array, _ = itk_file.read_pixels(one.path)
        except InputError as error:
            raise InputError(f"its slice {one.path.name} {error}") from error
        if array.shape != geometry.shape[-2:]:
            raise InputError(f"its slice {one.path.name} holds several frames: take it out of the folder")
        pictures.append(array)
    volume = np.stack(pictures) if len(pictures) > 1 else pictures[0]
    return volume, geometry


def _ordered(folder: Path) -> tuple[list[_Slice], Geometry]:
    slices = [_read_slice(path) for path in series_files(folder)]
    if not slices:
        raise InputError("holds no slices")
    first = slices[0]
    for one in slices[1:]:
        if one.series != first.series:
            raise InputError(
                f"holds several series ({first.path.name} and {one.path.name}): give each a folder of its own"
            )
        if one.shape != first.shape or one.spacing != first.spacing:
            raise InputError(f"its slices {first.path.name} and {one.path.name} have different pixels")
        if np.abs(one.axes - first.axes).max() > _TURNED:
            raise InputError(
                f"its slices {first.path.name} and {one.path.name} are turned against each other"
            )
    normal = np.cross(*first.axes)
    slices.sort(key=lambda one: float(one.position @ normal))
    spacing = _between(slices, normal) if len(slices) > 1 else None
    direction = np.column_stack([*first.axes, normal])  # columns: x index, y index, z index
    # The spacing of one slice says nothing about the depth of a volume: it is a picture.
    if len(slices) == 1:
        place = Geometry(first.shape, spacing=first.spacing, spacing_source=SpacingSource.FILE)
    else:
        known = first.spacing is not None
        place = Geometry(
            (len(slices), *first.shape),
            spacing=(spacing, *first.spacing) if known else None,
            origin=tuple(slices[0].position[::-1]),
            direction=tuple(map(tuple, direction[::-1, ::-1].tolist())),
            spacing_source=SpacingSource.FILE,
        )
    check_fits(place.shape, 8)
    return slices, place


def _between(slices: list[_Slice], normal: NDArray[np.float64]) -> float:
    """Distance between slices in mm; InputError where they do not lie on a grid."""
    positions = np.array([one.position for one in slices])
    steps = np.diff(positions @ normal)
    step = float(np.median(steps))
    if step <= 0 or (steps < _UNEVEN * step).any():
        number = int(np.argmin(steps))
        raise InputError(
            f"its slices {slices[number].path.name} and {slices[number + 1].path.name} lie at the same place: "
            "keep one of them"
        )
    if np.abs(steps - step).max() > _UNEVEN * step:
        number = int(np.argmax(np.abs(steps - step)))
        raise InputError(
            f"its slices are not evenly apart ({step:g} mm, but {steps[number]:g} mm between "
            f"{slices[number].path.name} and {slices[number + 1].path.name}): is one missing?"
        )
    shift = positions - positions[0] - np.outer((positions - positions[0]) @ normal, normal)
    if np.linalg.norm(shift, axis=1).max() > 0.1 + _UNEVEN * step:
        raise InputError("its slices are shifted against each other (a tilted gantry): resample it first")
    return float(steps.mean())


def _read_slice(path: Path) -> _Slice:
    try:
        header = dicom_header(path)
    except InputError as error:
        raise InputError(f"its file {path.name} {error}") from error
    try:
        lacking = [name for name in _NEEDED if not header.get(name)]
    except Exception as error:
        raise InputError(f"its file {path.name} is damaged ({error}): export it again") from error
    if lacking:
        raise InputError(f"its file {path.name} has no {lacking[0]}, so nobody knows where that slice lies")
    try:
        series = str(header.SeriesInstanceUID)
        found = plane_spacing(header)
        position = _vector(header.ImagePositionPatient, 3)
        axes = _vector(header.ImageOrientationPatient, 6).reshape(2, 3)
        shape = (int(header.Rows), int(header.Columns))
    except Exception as error:  # values are understood only now
        raise InputError(f"its file {path.name} says wrongly where it lies ({error})") from error
    if np.abs(axes @ axes.T - np.eye(2)).max() > 0.01:
        raise InputError(f"its file {path.name} has axes that are not at right angles")
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    spacing = None if found is None else (found.row, found.column)
    return _Slice(path, series, position, axes, shape, spacing)


def _vector(values: Any, length: int) -> NDArray[np.float64]:
    numbers = np.array([float(value) for value in values])
    if numbers.shape != (length,) or not np.isfinite(numbers).all():
        raise ValueError(f"{length} numbers were expected")
    return numbers
