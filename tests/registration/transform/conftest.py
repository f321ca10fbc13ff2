"""Pairs of geometries with a known smooth transform between them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.registration.transform.grids import grid_over, world_geometry
from napari_landmark.registration.transform.transform import Transform


def _rotated(degrees: float, ndim: int) -> tuple[tuple[float, ...], ...]:
    """A direction rotated in the plane of the last two axes, and for volumes in that of the first two, too."""
    angle = np.deg2rad(degrees)
    flat = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.eye(ndim)
    matrix[-2:, -2:] = flat
    if ndim == 3:
        other = np.eye(3)
        other[:2, :2] = flat
        matrix = matrix @ other
    return tuple(map(tuple, matrix.tolist()))


_PAIRS = {
    "plain": (Geometry((40, 50)), Geometry((40, 50))),
    "sizes": (Geometry((40, 50)), Geometry((60, 44))),
    "spacing": (Geometry((40, 50), spacing=(0.5, 0.5)), Geometry((30, 35), spacing=(0.7, 0.6))),
    "oblique": (
        Geometry((40, 50), spacing=(1.0, 0.8), origin=(-30, 100), direction=_rotated(20, 2)),
        Geometry((60, 44), spacing=(0.7, 1.3), origin=(-40, 95), direction=_rotated(-15, 2)),
    ),
    "flipped": (
        Geometry((40, 50), spacing=(1.0, 0.8), origin=(39, 0), direction=((-1, 0), (0, 1))),
        Geometry((45, 50), spacing=(1.0, 0.8)),
    ),
    "one spacing": (Geometry((40, 50)), Geometry((60, 44), spacing=(0.7, 1.1))),
    "volume": (
        Geometry((12, 20, 22), spacing=(2.5, 0.8, 1.0), origin=(5, -10, 3), direction=_rotated(12, 3)),
        Geometry((16, 18, 25), spacing=(2.0, 1.0, 0.8), origin=(2, -12, 2), direction=_rotated(-8, 3)),
    ),
    "pixel volume": (Geometry((12, 20, 22)), Geometry((14, 20, 18))),
}


def _smooth(pair: str, *, size: float = 2.0) -> Transform:
    """A wave of a few pixels on a grid coarser than the fixed image, over a scaling that aligns the centres."""
    fixed, moving = _PAIRS[pair]
    world_f, world_m = world_geometry(fixed), world_geometry(moving)
    grid = grid_over(world_f, int(np.prod(fixed.shape) * 0.6))
    points = grid.to_world(np.argwhere(np.ones(grid.shape)).astype(float))
    centres = [world.to_world([(np.array(world.shape) - 1) / 2])[0] for world in (world_f, world_m)]
    scaling = 0.95 * (points - centres[0]) + centres[1] - points
    phase = (points - points.mean(axis=0)) / np.ptp(points, axis=0)
    wave = size * min(world_f.spacing) * np.sin(4 * phase[:, ::-1] + np.arange(fixed.ndim))
    return Transform(fixed, moving, grid, (scaling + wave).reshape(*grid.shape, fixed.ndim))


def _picture(geometry: Geometry) -> MedicalImage:
    noise = np.random.default_rng(0).normal(size=geometry.shape)
    return MedicalImage((1000 * gaussian_filter(noise, 1.0)).astype(np.float32), geometry, "moving.nrrd")


def _inner_points(transform: Transform, count: int = 300) -> np.ndarray:
    shape = np.array(transform.fixed.shape)
    return np.random.default_rng(1).uniform(0.1, 0.9, (count, len(shape))) * (shape - 1)


@pytest.fixture(scope="session")
def example():
    """Functions: smooth(pair), picture(geometry), inner_points(transform), rotated(degrees, ndim); pairs by name."""
    return SimpleNamespace(
        pairs=_PAIRS, smooth=_smooth, picture=_picture, inner_points=_inner_points, rotated=_rotated
    )


@pytest.fixture(params=list(_PAIRS))
def smooth(request):
    """A smooth transform of every pair of geometries."""
    return _smooth(request.param)
