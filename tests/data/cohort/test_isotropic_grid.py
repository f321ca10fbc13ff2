"""Grids of cubic cells over volumes of any orientation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_landmark.data.cohort.isotropic_grid import finer_cells, isotropic_transform, smallest_cell
from napari_landmark.data.geometry import Geometry

IDENTITY = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
CORNERS = np.array([[0.0, 0, 0], [11, 0, 0], [0, 19, 0], [0, 0, 29], [11, 19, 29]])


def _geometry(direction=IDENTITY, spacing=(2.5, 0.5, 0.4)):
    return Geometry((12, 20, 30), spacing=spacing, direction=tuple(map(tuple, direction)))


def test_cells_are_as_long_as_the_smallest_spacing_unless_they_were_too_many():
    assert smallest_cell(_geometry()) == 0.4
    assert smallest_cell(Geometry((12, 20, 30))) == 1.0
    assert smallest_cell(Geometry((1000, 1000, 1000))) == pytest.approx(3.97, abs=0.01)


def test_finer_cells_end_at_the_smallest_spacing():
    geometry = _geometry()
    assert finer_cells(geometry, 0.4) == finer_cells(geometry, 0.45) == ()
    assert finer_cells(geometry, 0.6) == pytest.approx((0.4,))
    assert finer_cells(geometry, 0.9) == pytest.approx((0.4,))
    assert finer_cells(geometry, 1.6) == pytest.approx((0.8, 0.4))
    assert finer_cells(Geometry((1000, 1000, 1000)), 3.97) == pytest.approx((3.97**0.5, 1.0))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mirrored", [False, True])
def test_distances_are_kept_and_nothing_is_mirrored(seed, mirrored):
    direction = Rotation.random(random_state=seed).as_matrix() @ np.diag([1, 1, -1 if mirrored else 1])
    geometry = _geometry(direction)
    transform = isotropic_transform(geometry, 0.4)
    cells, world = transform.to_working(CORNERS) * 0.4, geometry.to_world(CORNERS)
    rotation = np.linalg.lstsq(world - world.mean(0), cells - cells.mean(0), rcond=None)[0]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) > 0
    np.testing.assert_allclose(transform.to_native(transform.to_working(CORNERS)), CORNERS, atol=1e-9)


def test_the_grid_covers_the_volume_and_no_more():
    transform = isotropic_transform(_geometry(), 0.5)
    assert transform.canvas == (60, 20, 24)
    edges = np.array([[-0.5, -0.5, -0.5], [11.5, 19.5, 29.5]])
    np.testing.assert_allclose(transform.to_working(edges), [[-0.5] * 3, [59.5, 19.5, 23.5]])
