"""Grid of cubic cells over a volume, upright in the world."""

from __future__ import annotations

import math

import numpy as np

from napari_landmark.data.cohort.working_grid import CanvasTransform, canonical_axes
from napari_landmark.data.geometry import Geometry

_MOST_CELLS = 16_000_000
_WORTH_IT = 1.25  # times finer


def smallest_cell(geometry: Geometry) -> float:
    """Length of the cells that resolve a volume: its smallest spacing, larger where there would be too many cells.

    In mm, in voxels where the spacing is not known.
    """
    spacing = np.asarray(geometry.spacing or (1.0,) * geometry.ndim)
    content = float(np.prod(np.asarray(geometry.shape) * spacing))
    return max(float(spacing.min()), (content / _MOST_CELLS) ** (1 / geometry.ndim))


def finer_cells(geometry: Geometry, cell: float) -> tuple[float, ...]:
    """Lengths of cells from below a length to the smallest spacing of a volume, each about half of the one before.

    None where cells of that length resolve the volume nearly as well.
    """
    smallest = min(geometry.spacing or (1.0,))
    if cell < _WORTH_IT * smallest:
        return ()
    steps = max(1, round(math.log2(cell / smallest)))
    return tuple(cell * (smallest / cell) ** (step / steps) for step in range(1, steps + 1))


def isotropic_transform(geometry: Geometry, cell: float) -> CanvasTransform:
    """Transform of a grid of cubic cells that covers a whole volume, centred.

    Axes are exchanged and flipped to the nearest axes of the world, never to a mirror image of it.

    Parameters
    ----------
    geometry : Geometry
        Of the native volume.
    cell : float
        Length of a cell in mm, in voxels where the spacing is not known.
    """
    ndim = geometry.ndim
    spacing = np.asarray(geometry.spacing or (1.0,) * ndim)
    axes, signs = canonical_axes(geometry)
    matrix = np.zeros((ndim, ndim))
    for working_axis, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        matrix[axis, working_axis] = sign * cell / spacing[axis]
    turned = np.asarray(geometry.direction) @ matrix
    if (
        ndim == 3 and np.linalg.det(turned) < 0
    ):  # an oblique volume: flip the axis that fits its world axis least
        fit = np.abs(np.diag(np.asarray(geometry.direction)[:, list(axes)]))
        matrix[:, int(fit.argmin())] *= -1
    extents = (np.asarray(geometry.shape) * spacing)[list(axes)]
    canvas = tuple(max(1, math.ceil(extent / cell - 1e-6)) for extent in extents)
    centre = (np.asarray(geometry.shape) - 1) / 2
    return CanvasTransform(canvas, matrix, centre - matrix @ ((np.asarray(canvas) - 1) / 2))
