"""Direction of a transform, and its effect on points, images and landmarks."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.registration.transform.grids import world_geometry
from napari_landmark.registration.transform.transform import Transform


class TestDirection:
    """A point x of the fixed image maps to phi(x) in the moving one."""

    @pytest.fixture
    def shifted(self):
        """The dot of the moving image is three rows below and two columns left of that of the fixed one."""
        geometry = Geometry((20, 30))
        array = np.zeros((20, 30), np.uint8)
        array[13, 8] = 200
        moving = MedicalImage(array, geometry, "moving.png")
        return Transform.affine(np.eye(2), (3, -2), fixed=geometry, moving=geometry), moving

    def test_images(self, shifted):
        transform, moving = shifted
        warped = transform.warp_image(moving)
        assert np.argwhere(warped.array).tolist() == [[10, 10]]
        assert warped.array[10, 10] == 200
        assert warped.array.dtype == np.uint8
        assert (warped.geometry, warped.name) == (transform.fixed, "moving.png")

    def test_points(self, shifted):
        transform, _ = shifted
        np.testing.assert_allclose(transform.to_moving([[10, 10]]), [[13, 8]], atol=1e-5)
        np.testing.assert_allclose(transform.to_fixed([[13, 8]]), [[10, 10]], atol=1e-5)

    def test_landmarks(self, shifted):
        transform, _ = shifted
        schema = LandmarkSchema(("dot", "missing", "unplaced"))
        marks = LandmarkSet(
            schema,
            [
                Landmark("dot", (13, 8), Status.PLACED, confidence=0.5, expected_error=2.0),
                Landmark("missing", None, Status.MISSING),
            ],
        )
        warped = transform.warp_landmarks(marks)
        np.testing.assert_allclose(warped["dot"].position, (10, 10), atol=1e-5)
        assert warped["dot"].status is Status.PREDICTED
        assert (warped["dot"].confidence, warped["dot"].expected_error) == (0.5, None)
        assert warped["missing"].status is Status.MISSING
        assert warped["unplaced"].status is Status.UNPLACED

    def test_no_landmark_at_all(self, shifted):
        empty = LandmarkSet(LandmarkSchema(("a",)))
        assert shifted[0].warp_landmarks(empty) == empty

    def test_different_spacings(self):
        fixed = Geometry((20, 20), spacing=(1, 1), origin=(5, 0))
        moving = Geometry((40, 40), spacing=(0.5, 0.5))
        transform = Transform.identity(fixed, moving)
        np.testing.assert_allclose(transform.to_moving([[3, 4]]), [[16, 8]], atol=1e-5)
        assert transform.unit == "mm"

    def test_outside_the_border_is_repeated(self):
        geometry = Geometry((8, 8))
        array = np.arange(64, dtype=np.float32).reshape(8, 8)
        transform = Transform.affine(np.eye(2), (100, 0), fixed=geometry, moving=geometry)
        warped = transform.warp_image(MedicalImage(array, geometry, "m")).array
        np.testing.assert_allclose(warped, np.broadcast_to(array[-1], (8, 8)), atol=1e-4)


class TestRefuses:
    def test_a_picture_with_a_volume(self):
        with pytest.raises(InputError, match="a picture as fixed and a volume as moving image"):
            Transform.identity(Geometry((5, 5)), Geometry((5, 5, 5)))

    def test_displacements_that_do_not_fit(self):
        geometry = Geometry((5, 5))
        with pytest.raises(ValueError, match="displacement of shape"):
            Transform(geometry, geometry, world_geometry(geometry), np.zeros((5, 4, 2)))
        with pytest.raises(ValueError, match="finite"):
            Transform(geometry, geometry, world_geometry(geometry), np.full((5, 5, 2), np.nan))

    def test_an_image_of_another_size(self):
        transform = Transform.identity(Geometry((5, 5)), Geometry((6, 5)))
        with pytest.raises(ValueError, match="moving image"):
            transform.warp_labels(np.zeros((5, 5), int))
