"""Conversion of a displacement on the working grid to a transform between two native images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.cohort.working_grid import CanvasTransform, fit_canvas_transform
from napari_landmark.data.geometry import Geometry
from napari_landmark.registration.transform.grids import index_to_world, world_geometry
from napari_landmark.registration.transform.transform import Transform


def transform_from_displacement(
    displacement: NDArray[np.floating], *, fixed: Geometry, moving: Geometry, canvas: tuple[int, ...]
) -> Transform:
    """Convert a displacement in cells of the registration grid to world coordinates of the native images.

    Parameters
    ----------
    displacement : (d, *grid) array
        In cells of a grid over the whole working grid, whose sides are multiples of those of `grid`.
    fixed, moving : Geometry
        Of the native images.
    canvas : tuple of int
        Shape of the working grid that both images were resampled to.

    Returns
    -------
    Transform
        Its grid has one point more on every side than `grid`.
    """
    dims, shape = len(canvas), displacement.shape[1:]
    stride = np.asarray(canvas) / np.asarray(shape)
    # One more point on every side, extrapolated linearly, so that images of another scale are covered to their border.
    padded = np.stack([np.pad(part, 1, mode="reflect", reflect_type="odd") for part in displacement], -1)
    cells = np.stack(np.meshgrid(*(np.arange(-1, n + 1) for n in shape), indexing="ij"), -1).astype(float)

    def world_positions(geometry: Geometry, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        working = (positions + 0.5) * stride - 0.5
        native = fit_canvas_transform(geometry, canvas).to_native(working.reshape(-1, dims))
        return world_geometry(geometry).to_world(native).reshape(cells.shape)

    return Transform(
        fixed,
        moving,
        _padded_grid(fit_canvas_transform(fixed, canvas), stride, shape, fixed),
        world_positions(moving, cells + padded) - world_positions(fixed, cells),
    )


def _padded_grid(
    canvas_transform: CanvasTransform, stride: NDArray[np.float64], shape: tuple[int, ...], fixed: Geometry
) -> Geometry:
    """Grid of `shape` with one point more on every side, in the world of the fixed image."""
    matrix, offset = canvas_transform.matrix, canvas_transform.offset
    to_world, origin = index_to_world(world_geometry(fixed))
    steps = to_world @ matrix @ np.diag(stride)  # world = steps @ cell + start
    first = matrix @ (-0.5 * stride - 0.5) + offset  # native position of cell -1
    spacing = np.linalg.norm(steps, axis=0)
    return Geometry(
        tuple(n + 2 for n in shape),
        spacing=tuple(spacing),
        origin=tuple(to_world @ first + origin),
        direction=tuple(map(tuple, (steps / spacing).tolist())),
    )
