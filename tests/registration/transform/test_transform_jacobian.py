"""Jacobian determinants and folds."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.geometry import Geometry
from napari_landmark.registration.transform.grids import world_geometry
from napari_landmark.registration.transform.transform import Transform


class TestDeterminant:
    def test_of_an_affine_map_on_an_oblique_grid(self, example):
        fixed, moving = example.pairs["volume"]
        matrix = np.array([[1.1, 0.1, 0], [0, 0.9, -0.2], [0.05, 0, 1.2]])
        transform = Transform.affine(matrix, (1, 2, 3), fixed=fixed, moving=moving, grid=fixed)
        assert transform.jacobian().shape == fixed.shape
        np.testing.assert_allclose(transform.jacobian(), np.linalg.det(matrix), rtol=1e-4)
        assert transform.folding_percent() == 0

    def test_of_a_large_field_has_no_seams(self):
        geometry = Geometry((700, 500))  # more than a quarter of a million points
        values = np.zeros((700, 500, 2))
        values[..., 0] = (
            np.arange(700)[:, None] ** 2 / 1024
        )  # central differences are exact, one-sided ones are not
        transform = Transform(geometry, geometry, world_geometry(geometry), values)
        expected = np.broadcast_to(1 + np.arange(700)[:, None] / 512, (700, 500))
        np.testing.assert_allclose(transform.jacobian()[1:-1], expected[1:-1], atol=1e-4)


class TestFolding:
    def test_is_counted(self):
        geometry = Geometry((20, 30))
        values = np.zeros((20, 30, 2))
        values[5:15, 10:20, 0] = -2 * np.arange(10)[:, None]  # phi falls by one a row
        transform = Transform(geometry, geometry, world_geometry(geometry), values)
        folded = transform.jacobian() <= 0
        assert folded[6:14, 11:19].all()
        assert transform.folding_percent() == pytest.approx(100 * folded.mean())
        mask = np.zeros((20, 30), bool)
        mask[7:13, 12:18] = True
        assert transform.folding_percent(mask) == 100
        assert transform.folding_percent(~mask) < 100 * folded.mean()

    def test_files_that_hold_their_pixels_in_opposite_order(self):
        fixed = Geometry((20, 30), spacing=(1, 1), direction=((-1, 0), (0, 1)))
        moving = Geometry((20, 30), spacing=(1, 1))
        values = np.zeros((20, 30, 2))
        values[..., 0] = 2 * np.arange(20)[:, None]  # row to row of the same number
        transform = Transform(fixed, moving, fixed, values)
        np.testing.assert_allclose(transform.to_moving([[3, 4]]), [[3, 4]], atol=1e-5)
        assert (transform.jacobian() < 0).all()
        assert transform.folding_percent() == 0
        values[5:15, 10:20, 0] += -2 * np.arange(10)[:, None]
        folded = Transform(fixed, moving, fixed, values)
        assert folded.folding_percent() == pytest.approx(100 * (folded.jacobian() >= 0).mean())
        assert 10 < folded.folding_percent() < 20

    def test_outside_the_image_does_not_count(self):
        geometry = Geometry((20, 30))
        grid = Geometry((40, 30), spacing=(1, 1), origin=(-20, 0))
        values = np.zeros((40, 30, 2))
        values[:15, :, 0] = -2 * np.arange(15)[:, None]
        assert Transform(geometry, geometry, grid, values).folding_percent() == 0
