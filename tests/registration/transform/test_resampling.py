"""Resampled images keep their data type, resampled label maps their labels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.registration.transform.transform import Transform


class TestLabels:
    def test_are_those_of_the_moving_map(self, example):
        transform = example.smooth("oblique")
        labels = np.random.default_rng(0).choice([0, 3, 7, 200], transform.moving.shape).astype(np.uint8)
        warped = transform.warp_labels(labels)
        assert warped.shape == transform.fixed.shape
        assert warped.dtype == np.uint8
        assert set(np.unique(warped)) <= {0, 3, 7, 200}
        assert (warped > 0).any()

    @pytest.mark.parametrize("pair", ["sizes", "volume"])
    def test_are_the_largest_of_the_warped_shares(self, example, pair):
        transform = example.smooth(pair)
        labels = np.random.default_rng(0).integers(0, 4, transform.moving.shape)
        shares = [
            transform.warp_image(MedicalImage((labels == k).astype(float), transform.moving, "m")).array
            for k in range(4)
        ]
        points = transform.to_moving(np.argwhere(np.ones(transform.fixed.shape)))
        inside = transform.moving.contains(points).reshape(transform.fixed.shape)
        expected = np.where(inside, np.argmax(shares, axis=0), 0)
        clear = np.diff(np.sort(shares, axis=0)[-2:], axis=0)[0] > 1e-6
        np.testing.assert_array_equal(transform.warp_labels(labels)[clear], expected[clear])
        assert clear.mean() > 0.9

    def test_a_shift_is_exact_and_leaves_nothing_outside(self):
        geometry = Geometry((8, 8))
        labels = np.full((8, 8), 5, np.int32)
        transform = Transform.affine(np.eye(2), (3, 0), fixed=geometry, moving=geometry)
        warped = transform.warp_labels(labels)
        assert (warped[:5] == 5).all()
        assert (warped[5:] == 0).all()

    def test_the_smaller_of_equals(self):
        geometry = Geometry((4, 4))
        labels = np.array([[9, 2, 9, 2]] * 4)
        transform = Transform.affine(np.eye(2), (0, 0.5), fixed=geometry, moving=geometry)
        assert (transform.warp_labels(labels)[:, :3] == 2).all()


class TestImages:
    @pytest.mark.parametrize(
        "dtype", ["uint8", "int16", ">i2", "uint32", "float16", ">f4", "float64", "bool"]
    )
    def test_data_types_are_kept(self, dtype):
        geometry = Geometry((6, 6))
        array = np.arange(36).reshape(6, 6).astype(dtype)
        transform = Transform.affine(np.eye(2), (0, 1), fixed=geometry, moving=geometry)
        warped = transform.warp_image(MedicalImage(array, geometry, "m")).array
        assert warped.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_allclose(warped[:, :5].astype(float), array[:, 1:].astype(float), atol=1e-4)

    def test_whole_numbers_are_rounded(self):
        geometry = Geometry((6, 6))
        array = np.tile(np.arange(6, dtype=np.uint8) * 10, (6, 1))
        transform = Transform.affine(np.eye(2), (0, 0.19), fixed=geometry, moving=geometry)
        warped = transform.warp_image(MedicalImage(array, geometry, "m")).array
        assert warped[0, :5].tolist() == [2, 12, 22, 32, 42]

    def test_an_image_of_several_slabs_has_no_seams(self):
        geometry = Geometry((1300, 1000))  # more than a million pixels
        array = np.random.default_rng(0).integers(0, 9, geometry.shape).astype(np.uint8)
        transform = Transform.affine(np.eye(2), (-2, 3), fixed=geometry, moving=geometry)
        for warped in (
            transform.warp_image(MedicalImage(array, geometry, "m")).array,
            transform.warp_labels(array),
        ):
            np.testing.assert_array_equal(warped[2:, :-3], array[:-2, 3:])
