"""The grids that displacement fields lie on, and the world of images whose spacing is not known."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry


def world_geometry(geometry: Geometry) -> Geometry:
    """The geometry itself or, where its spacing is not known, index coordinates as the world."""
    if geometry.has_spacing:
        return geometry
    return Geometry(geometry.shape, spacing=(1.0,) * geometry.ndim)


def index_to_world(geometry: Geometry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix (d, d) and offset (d,) from index to world coordinates."""
    offset = geometry.to_world(np.zeros((1, geometry.ndim)))[0]
    return (geometry.to_world(np.eye(geometry.ndim)) - offset).T, offset


def check_alike(fixed: Geometry, moving: Geometry) -> None:
    """Refuse a picture with a volume."""
    if fixed.ndim != moving.ndim:
        kinds = {2: "a picture", 3: "a volume"}
        raise InputError(
            f"{kinds[fixed.ndim]} as fixed and {kinds[moving.ndim]} as moving image: give two of one kind"
        )


def coarse_grid(image: Geometry) -> Geometry:
    """Five points along each axis: two on the borders of the image, one between, two outside."""
    sizes = np.asarray(image.shape, dtype=np.float64)
    return _grid(image, first=-0.5 - sizes / 2, steps=sizes / 2, shape=(5,) * image.ndim)


def grid_over(image: Geometry, count: int) -> Geometry:
    """A grid from the first to the last pixel of an image, of about `count` points and no finer than it."""
    share = min(1.0, (count / np.prod(image.shape)) ** (1 / image.ndim))
    shape = [min(size, max(2, round(size * share))) for size in image.shape]
    steps = [(size - 1) / max(1, points - 1) for size, points in zip(image.shape, shape, strict=True)]
    return _grid(image, first=np.zeros(image.ndim), steps=np.maximum(steps, 1e-9), shape=tuple(shape))


def _grid(
    image: Geometry, *, first: NDArray[np.float64], steps: NDArray[np.float64], shape: tuple[int, ...]
) -> Geometry:
    """Another grid along the axes of an image; first point and steps in the image's index coordinates."""
    spacing = np.asarray(image.spacing) * steps
    origin = image.to_world(first[None])[0]
    return dataclasses.replace(image, shape=shape, spacing=tuple(spacing), origin=tuple(origin))
