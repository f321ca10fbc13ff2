"""Grids of displacement fields."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.geometry import Geometry
from napari_landmark.registration.transform.grids import (
    coarse_grid,
    extend_to_cover,
    grid_over,
    index_to_world,
    world_geometry,
)

OBLIQUE = Geometry((20, 30), spacing=(0.5, 2), origin=(7, -9), direction=((0.6, -0.8), (0.8, 0.6)))


def test_index_coordinates_are_the_world_without_a_spacing():
    world = world_geometry(Geometry((5, 6)))
    np.testing.assert_array_equal(world.to_world([[2, 3.5]]), [[2, 3.5]])
    assert world_geometry(OBLIQUE) is OBLIQUE


def test_matrix_and_offset_to_the_world():
    matrix, offset = index_to_world(OBLIQUE)
    points = np.random.default_rng(0).uniform(0, 20, (5, 2))
    np.testing.assert_allclose(points @ matrix.T + offset, OBLIQUE.to_world(points))


def test_a_coarse_grid_reaches_beyond_the_image_by_half_its_size():
    grid = coarse_grid(OBLIQUE)
    ends = OBLIQUE.to_index(grid.to_world([[0, 0], [4, 4]]))
    np.testing.assert_allclose(ends, [[-10.5, -15.5], [29.5, 44.5]])


@pytest.mark.parametrize("count", [1, 50, 10_000])
def test_a_grid_over_an_image_ends_at_its_corner_pixels(count):
    grid = grid_over(OBLIQUE, count)
    last = np.array(grid.shape) - 1
    np.testing.assert_allclose(OBLIQUE.to_index(grid.to_world([[0, 0], last])), [[0, 0], [19, 29]], atol=1e-9)
    assert np.prod(grid.shape) <= 600


def test_a_field_is_extended_by_its_border():
    image = Geometry((20, 30), spacing=(1, 1))
    grid = Geometry((5, 5), spacing=(2, 2), origin=(6, 6))
    values = np.arange(50, dtype=np.float32).reshape(5, 5, 2)
    extended, covering = extend_to_cover(values, grid, image)
    assert covering.contains(covering.to_index(image.to_world([[0, 0], [19, 29]]))).all()
    np.testing.assert_array_equal(extended[0, 0], values[0, 0])
    np.testing.assert_array_equal(extended[-1, -1], values[-1, -1])
    inner = np.rint(covering.to_index(grid.to_world([[0, 0]]))[0]).astype(int)
    np.testing.assert_array_equal(extended[inner[0] :, inner[1] :][:5, :5], values)
