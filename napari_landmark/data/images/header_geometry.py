"""Geometry of a header that lists axes in the order x, y, z, as ITK and NIfTI do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry, SpacingSource, nearest_rotation

_IN_PLANE = 1e-3  # largest deviation of two axes of a rotated volume that still span a plane of the world


def header_geometry(
    size: Sequence[int],
    spacing: Sequence[float] | None,
    origin: Sequence[float],
    direction: ArrayLike,
    *,
    is_anatomical: bool = False,
) -> Geometry:
    """Geometry in array axis order, axes of one pixel dropped.

    Parameters
    ----------
    size : sequence of int
        Pixels along each of n axes: x, y, z, and whatever follows.
    spacing : sequence of float, optional
        Millimetres along at least the first three of the axes; None where it is not known.
    origin : sequence of float
        Position of the first pixel in mm, LPS.
    direction : (m, m) array_like
        Directions of the first m axes as columns, m at most n.
    is_anatomical : bool, optional
        Whether the header itself states the directions, in the patient.

    Raises
    ------
    InputError
        Without the file's name: a single row, several volumes, several pictures along the fourth axis or a later
        one (time is no depth), or a sheared grid.
    """
    if len(size) < 2:
        raise InputError(f"is only a row of {size[0]} values: give a picture or a volume")
    kept = [axis for axis, length in enumerate(size) if length > 1]
    sizes = " x ".join(map(str, size))
    if len(kept) > 3:
        raise InputError(
            f"is a series of volumes ({sizes}): save the volume that is meant as a file of its own"
        )
    if len(kept) < 2:
        kept = [0, 1]
    if kept[-1] > 2:
        raise InputError(
            f"is a series of pictures ({sizes}): save the picture that is meant as a file of its own"
        )
    spatial = min(len(size), 3)
    kept.reverse()
    matrix = nearest_rotation(np.asarray(direction, dtype=np.float64)[:spatial, :spatial])[np.ix_(kept, kept)]
    if np.abs(matrix @ matrix.T - np.eye(len(kept))).max() > _IN_PLANE:
        matrix = np.eye(len(kept))  # a slice across the axes of the world: its own plane becomes the world
    return Geometry(
        shape=tuple(size[axis] for axis in kept),
        spacing=None if spacing is None else tuple(spacing[axis] for axis in kept),
        origin=tuple(float(origin[axis]) for axis in kept),
        direction=tuple(map(tuple, matrix.tolist())),
        spacing_source=SpacingSource.FILE,
        is_anatomical=is_anatomical and len(kept) == 3,
    )
