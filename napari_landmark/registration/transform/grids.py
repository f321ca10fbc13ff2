"""Grids of displacement fields, and world coordinates of images without a known spacing."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry


def world_geometry(geometry: Geometry) -> Geometry:
    """Geometry with index coordinates as its world if its spacing is not known, else the geometry itself."""
    if geometry.has_spacing:
        return geometry
    return Geometry(geometry.shape, spacing=(1.0,) * geometry.ndim)


def index_to_world(geometry: Geometry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix (d, d) and offset (d,) from index to world coordinates."""
    offset = geometry.to_world(np.zeros((1, geometry.ndim)))[0]
    return (geometry.to_world(np.eye(geometry.ndim)) - offset).T, offset


def check_alike(fixed: Geometry, moving: Geometry) -> None:
    """Raise `InputError` for a picture with a volume."""
    if fixed.ndim != moving.ndim:
        kinds = {2: "a picture", 3: "a volume"}
        raise InputError(
            f"{kinds[fixed.ndim]} as fixed and {kinds[moving.ndim]} as moving image: give two of one kind"
        )


def coarse_grid(image: Geometry) -> Geometry:
    """Grid of five points along each axis: two on the borders of the image, one in the middle, two outside."""
    sizes = np.asarray(image.shape, dtype=np.float64)
    return _grid(image, first=-0.5 - sizes / 2, steps=sizes / 2, shape=(5,) * image.ndim)


def grid_over(image: Geometry, count: int) -> Geometry:
    """Grid from the first to the last pixel of an image, of about `count` points and no finer than the image."""
    share = min(1.0, (count / np.prod(image.shape)) ** (1 / image.ndim))
    shape = [min(size, max(2, round(size * share))) for size in image.shape]
    steps = [(size - 1) / max(1, points - 1) for size, points in zip(image.shape, shape, strict=True)]
    return _grid(image, first=np.zeros(image.ndim), steps=np.maximum(steps, 1e-9), shape=tuple(shape))


def extend_to_cover(
    displacement: NDArray[np.floating], grid: Geometry, image: Geometry
) -> tuple[NDArray[np.floating], Geometry]:
    """Extend a displacement field over an image by repeating its border.

    Parameters
    ----------
    displacement : (*grid.shape, d) array
    grid, image : Geometry
        In one world, both with a known spacing.

    Returns
    -------
    displacement : (*shape, d) array
    grid : Geometry
        Of that shape; covers every pixel centre of the image.
    """
    corners = corner_positions(image, grid)
    before = np.maximum(0, np.ceil(-corners.min(axis=0) - 0.5 - 1e-6)).astype(int)
    after = np.maximum(0, np.ceil(corners.max(axis=0) - np.asarray(grid.shape) + 0.5 - 1e-6)).astype(int)
    widths = [*zip(before.tolist(), after.tolist(), strict=True), (0, 0)]
    extended = np.pad(displacement, widths, mode="edge")
    origin = tuple(grid.to_world(-before[None])[0].tolist())
    return extended, dataclasses.replace(grid, shape=extended.shape[:-1], origin=origin)


def corner_positions(image: Geometry, grid: Geometry) -> NDArray[np.float64]:
    """(2**d, d) index coordinates on `grid` of the centres of an image's corner pixels."""
    ends = [(0.0, size - 1.0) for size in image.shape]
    return grid.to_index(image.to_world(list(itertools.product(*ends))))


def _grid(
    image: Geometry, *, first: NDArray[np.float64], steps: NDArray[np.float64], shape: tuple[int, ...]
) -> Geometry:
    """Another grid along the axes of an image; first point and steps in the image's index coordinates."""
    spacing = np.asarray(image.spacing) * steps
    origin = image.to_world(first[None])[0]
    return dataclasses.replace(image, shape=shape, spacing=tuple(spacing), origin=tuple(origin))
