"""Inverse of a transform, point by point and as a field, of smooth and of hard maps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.data.geometry import Geometry
from napari_landmark.registration.transform.grids import world_geometry
from napari_landmark.registration.transform.transform import Transform


class TestInverse:
    def test_to_moving_and_back(self, smooth, example):
        points = example.inner_points(smooth)
        back = smooth.to_fixed(smooth.to_moving(points))
        assert np.abs(back - points).max() < 1e-3

    def test_to_fixed_and_back(self, smooth):
        shape = np.array(smooth.moving.shape)
        points = np.random.default_rng(3).uniform(0, shape - 1, (300, len(shape)))
        back = smooth.to_moving(smooth.to_fixed(points))
        assert np.abs(back - points).max() < 1e-3

    def test_as_a_field(self, smooth, example):
        inverse = smooth.inverse()
        assert (inverse.fixed, inverse.moving) == (smooth.moving, smooth.fixed)
        points = example.inner_points(smooth)
        moved = smooth.to_moving(points)
        inside = smooth.moving.contains(moved, -1)
        assert inside.sum() > 50
        assert np.abs(inverse.to_moving(moved) - points)[inside].max() < 0.2


class TestInverseOfHardMaps:
    def test_a_large_rotation(self):
        geometry = Geometry((50, 50))
        turn = np.deg2rad(170)
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        centre = np.array([24.5, 24.5])
        transform = Transform.affine(matrix, centre - matrix @ centre, fixed=geometry, moving=geometry)
        points = np.random.default_rng(0).uniform(5, 45, (200, 2))
        assert np.abs(transform.to_fixed(transform.to_moving(points)) - points).max() < 1e-3

    def test_strong_waves_that_do_not_fold(self):
        geometry = Geometry((128, 128))
        rows, columns = np.mgrid[:128, :128]
        wave = np.stack([8 * np.sin(columns / 9), 8 * np.sin(rows / 9)], axis=-1)  # slope 0.89
        transform = Transform(geometry, geometry, world_geometry(geometry), wave)
        assert transform.folding_percent() == 0
        points = np.random.default_rng(0).uniform(0, 127, (2000, 2))
        assert np.abs(transform.to_fixed(transform.to_moving(points)) - points).max() < 1e-3

    def test_a_fold_gives_one_of_the_points(self):
        geometry = Geometry((64, 64))
        wave = np.zeros((64, 64, 2))
        wave[..., 0] = 8 * np.sin(np.arange(64) / 4)[:, None]  # slope 2
        transform = Transform(geometry, geometry, world_geometry(geometry), wave)
        points = np.random.default_rng(0).uniform(10, 50, (200, 2))
        found = transform.to_fixed(points)
        assert np.isfinite(found).all(axis=1).mean() > 0.95
        back = transform.to_moving(found)
        np.testing.assert_allclose(back[np.isfinite(back)], points[np.isfinite(found)], atol=1e-3)

    def test_a_collapsed_map_and_an_unknown_point(self):
        geometry = Geometry((10, 10))
        grid = world_geometry(geometry)
        rows, columns = np.mgrid[:10, :10]
        inside = np.stack([4.5 - rows, 4.5 - columns], axis=-1)
        transform = Transform(geometry, geometry, grid, inside)
        assert np.isnan(transform.to_fixed([[np.nan, 3]])).all()
        assert transform.folding_percent() == 100

    @given(
        st.lists(st.floats(-0.3, 0.3), min_size=4, max_size=4),
        st.lists(st.floats(-20, 20), min_size=2, max_size=2),
    )
    def test_any_affine_map(self, example, change, offset):
        matrix = np.eye(2) + np.reshape(change, (2, 2))
        fixed = Geometry((30, 40), spacing=(0.5, 1.5), origin=(7, -90), direction=example.rotated(33, 2))
        moving = Geometry((35, 20), spacing=(1.1, 0.4), origin=(-3, 8))
        transform = Transform.affine(matrix, offset, fixed=fixed, moving=moving)
        points = np.random.default_rng(0).uniform(-3, 40, (40, 2))
        expected = moving.to_index(fixed.to_world(points) @ matrix.T + offset)
        np.testing.assert_allclose(transform.to_moving(points), expected, atol=1e-3)
        np.testing.assert_allclose(transform.to_fixed(expected), points, atol=2e-3)
        np.testing.assert_allclose(transform.jacobian(), np.linalg.det(matrix), rtol=1e-5)
