"""Geometry of parallel DICOM planes, slices or frames, that form a regular grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.data.images.dicom_spacing import PlaneSpacing

_UNEVEN = 0.02  # of the distance between planes
_TURNED = 1e-3
_RIGHT_ANGLES = 0.01


class Plane(NamedTuple):
    """Position and orientation of one slice or frame in the patient.

    Attributes
    ----------
    name : str
        For messages: the file of a slice, the number of a frame (from 1).
    position : (3,) array
        x, y, z in mm of the centre of the first pixel.
    axes : (2, 3) array
        Unit vectors in which columns and rows count up, x, y, z.
    """

    name: str
    position: NDArray[np.float64]
    axes: NDArray[np.float64]

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the plane, x, y, z."""
        return np.cross(*self.axes)


def read_plane(name: str, position: Iterable[float], orientation: Iterable[float]) -> Plane:
    """Convert an image position and orientation of DICOM to a `Plane`.

    Raises
    ------
    InputError
        Where the axes are not at right angles.
    ValueError, TypeError
        Where the values are not three and six finite numbers.
    """
    axes = _vector(orientation, 6).reshape(2, 3)
    if np.abs(axes @ axes.T - np.eye(2)).max() > _RIGHT_ANGLES:
        raise InputError("its axes are not at right angles")
    return Plane(name, _vector(position, 3), axes / np.linalg.norm(axes, axis=1, keepdims=True))


def grid_geometry(
    planes: Sequence[Plane], shape: tuple[int, int], spacing: PlaneSpacing | None, *, noun: str
) -> Geometry:
    """Geometry of the volume [z, y, x] of two or more planes, in the order that they are given.

    Falling positions give a third axis against the normal of the planes, so that indices are those of the file.

    Parameters
    ----------
    planes : sequence of Plane
    shape : tuple of int
        Rows and columns.
    spacing : PlaneSpacing or None
        Of the pixels of a plane; without it the geometry has none.
    noun : str
        Plural name of the planes in messages: 'slices' or 'frames'.

    Raises
    ------
    InputError
        Where the planes are not parallel, not in order, not evenly apart, shifted, or two of the same position.
    """
    first = planes[0]
    for one in planes[1:]:
        if np.abs(one.axes - first.axes).max() > _TURNED:
            raise InputError(f"its {noun} {first.name} and {one.name} are turned against each other")
    step = _step(planes, noun)
    normal = first.normal if step > 0 else -first.normal
    direction = np.column_stack([*first.axes, normal])  # columns: x index, y index, z index
    return Geometry(
        (len(planes), *shape),
        spacing=None if spacing is None else (abs(step), spacing.row, spacing.column),
        origin=tuple(first.position[::-1]),
        direction=tuple(map(tuple, direction[::-1, ::-1].tolist())),
        spacing_source=SpacingSource.FILE,
        spacing_plane="" if spacing is None else spacing.plane,
        is_anatomical=True,
    )


def _step(planes: Sequence[Plane], noun: str) -> float:
    """Signed distance in mm from one plane to the next along the normal."""
    normal = planes[0].normal
    positions = np.array([one.position for one in planes])
    depths = positions @ normal
    steps = np.diff(depths)
    step = float(np.median(np.diff(np.sort(depths))))
    order = np.argsort(depths, kind="stable")
    close = np.flatnonzero(np.diff(depths[order]) <= _UNEVEN * step)
    if step <= 0 or len(close):
        number = int(close[0]) if len(close) else 0
        pair = sorted(order[number : number + 2])
        names = " and ".join(planes[index].name for index in pair)
        remedy = "keep one of them" if noun == "slices" else "save one stack of them as a file of its own"
        raise InputError(f"its {noun} {names} have the same position: {remedy}")
    if not ((steps > 0).all() or (steps < 0).all()):
        raise InputError(f"its {noun} are not in the order of their positions: save it as single slices")
    if steps[0] < 0:
        step = -step
    if np.abs(steps - step).max() > _UNEVEN * abs(step):
        number = int(np.argmax(np.abs(steps - step)))
        raise InputError(
            f"its {noun} are not evenly apart ({abs(step):g} mm, but {abs(steps[number]):g} mm between "
            f"{planes[number].name} and {planes[number + 1].name}): is one missing?"
        )
    shift = positions - positions[0] - np.outer((positions - positions[0]) @ normal, normal)
    if np.linalg.norm(shift, axis=1).max() > 0.1 + _UNEVEN * abs(step):
        raise InputError(f"its {noun} are shifted against each other (a tilted gantry): resample it first")
    return float(steps.mean())


def _vector(values: Iterable[float], length: int) -> NDArray[np.float64]:
    numbers = np.array([float(value) for value in values])
    if numbers.shape != (length,) or not np.isfinite(numbers).all():
        raise ValueError(f"{length} numbers were expected")
    return numbers
