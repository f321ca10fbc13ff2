"""The result of registering a moving to a fixed image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.cohort.working_grid import fit_canvas_transform
from napari_landmark.data.geometry import Geometry
from napari_landmark.registration.transform.grids import index_to_world, world_geometry
from napari_landmark.registration.transform.transform import Transform


@dataclass(frozen=True, eq=False)
class Registration:
    """How two images lie over each other, and what is known about it.

    Parameters
    ----------
    transform : Transform
    seconds : float
        Wall-clock time of the registration.
    terms : dict of str to float
        Last value of every term of the objective; empty where a network answered alone.
    fixed_regions, moving_regions : (labels, *grid) float32 arrays or None
        What the segmenter says of the two images, on the registration grid.
    """

    transform: Transform
    seconds: float
    terms: Mapping[str, float] = field(default_factory=dict)
    fixed_regions: NDArray[np.float32] | None = None
    moving_regions: NDArray[np.float32] | None = None


def canvas_transform(
    displacement: NDArray[np.floating], fixed: Geometry, moving: Geometry, canvas: tuple[int, ...]
) -> Transform:
    """A displacement on a canvas as a transform between two native images.

    Parameters
    ----------
    displacement : (d, *grid) array
        In cells of a grid that covers the canvas; the canvas' sides are multiples of the grid's.
    fixed, moving : Geometry
        Of the native images.
    canvas : tuple of int
        Working shape both images were placed on.
    """
    dims, shape = len(canvas), displacement.shape[1:]
    stride = np.asarray(canvas) / np.asarray(shape)
    canvas_transforms = [fit_canvas_transform(geometry, canvas) for geometry in (fixed, moving)]
    # One more point on every side, going on as the field ends: so images of another scale lie right to their border.
    padded = np.stack([np.pad(part, 1, mode="reflect", reflect_type="odd") for part in displacement], -1)
    cells = np.stack(np.meshgrid(*(np.arange(-1, n + 1) for n in shape), indexing="ij"), -1).astype(float)
    ends = []
    for canvas_transform, geometry, at in zip(
        canvas_transforms, (fixed, moving), (cells, cells + padded), strict=True
    ):
        world = world_geometry(geometry)
        native = canvas_transform.to_native(((at + 0.5) * stride - 0.5).reshape(-1, dims))
        ends.append(world.to_world(native).reshape(cells.shape))
    return Transform(
        fixed,
        moving,
        _canvas_grid(canvas_transforms[0].matrix, canvas_transforms[0].offset, stride, shape, fixed),
        ends[1] - ends[0],
    )


def _canvas_grid(
    matrix: NDArray[np.float64],
    offset: NDArray[np.float64],
    stride: NDArray[np.float64],
    shape: tuple[int, ...],
    fixed: Geometry,
) -> Geometry:
    """The padded grid in the world of the fixed image."""
    to_world, origin = index_to_world(world_geometry(fixed))
    steps = to_world @ matrix @ np.diag(stride)  # world = steps @ cell + start
    first = matrix @ (-0.5 * stride - 0.5) + offset  # native place of cell -1
    spacing = np.linalg.norm(steps, axis=0)
    return Geometry(
        tuple(n + 2 for n in shape),
        spacing=tuple(spacing),
        origin=tuple(to_world @ first + origin),
        direction=tuple(map(tuple, (steps / spacing).tolist())),
    )
