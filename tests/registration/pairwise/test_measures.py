"""Quality metrics of a known transform."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.registration.pairwise.measures import correlation, landmark_errors, warped_dice
from napari_landmark.registration.transform.transform import Transform

SCHEMA = LandmarkSchema(("a", "b", "c"))


def marks(**positions):
    return LandmarkSet(SCHEMA, [Landmark(name, at, Status.PLACED) for name, at in positions.items()])


def shift(by, fixed, moving):
    return Transform.affine(np.eye(2), by, fixed=fixed, moving=moving)


def test_distances_are_those_in_the_fixed_image():
    fixed, moving = Geometry((40, 40), spacing=(2.0, 0.5)), Geometry((80, 40), spacing=(1.0, 0.5))
    transform = shift((4, 0), fixed, moving)  # 4 mm down: 2 rows of the fixed, 4 of the moving image
    errors = landmark_errors(
        transform, marks(a=(10, 10), b=(12, 20)), marks(a=(24, 10), b=(24, 24), c=(3, 3))
    )
    assert errors.px == {"a": pytest.approx(0, abs=1e-4), "b": pytest.approx(np.hypot(2, 4), abs=1e-4)}
    assert errors.mm == {"a": pytest.approx(0, abs=1e-4), "b": pytest.approx(np.hypot(4, 2), abs=1e-4)}
    assert errors.lost == ()


def test_pixels_where_the_spacing_is_not_known():
    geometry = Geometry((40, 40))
    errors = landmark_errors(shift((0, 3), geometry, geometry), marks(a=(10, 10)), marks(a=(10, 14)))
    assert errors.px == {"a": pytest.approx(1, abs=1e-4)}
    assert errors.mm is None


def test_nothing_in_common():
    geometry = Geometry((40, 40))
    errors = landmark_errors(shift((0, 3), geometry, geometry), marks(a=(10, 10)), marks(b=(10, 14)))
    assert (errors.px, errors.mm) == ({}, None)


def test_lost_landmarks_are_measured_in_the_moving_image(monkeypatch):
    geometry = Geometry((40, 40))
    transform = shift((0, 3), geometry, geometry)
    monkeypatch.setattr(Transform, "to_fixed", lambda self, points: np.full(np.shape(points), np.nan))
    errors = landmark_errors(transform, marks(a=(10, 10)), marks(a=(10, 15)))
    assert errors.px == {"a": pytest.approx(2, abs=1e-4)}
    assert errors.lost == ("a",)


def test_dice_of_a_shifted_square():
    geometry = Geometry((40, 40))
    fixed, moving = np.zeros((2, 40, 40), np.uint8)
    fixed[10:20, 10:20] = 3
    moving[15:25, 10:20] = 3
    assert warped_dice(shift((5, 0), geometry, geometry), fixed, moving) == {3: 1}
    assert warped_dice(shift((0, 0), geometry, geometry), fixed, moving) == {3: 0.5}


def test_correlation_is_that_of_the_overlap():
    geometry = Geometry((40, 40))
    moving = MedicalImage(np.random.default_rng(0).normal(size=(40, 40)), geometry, "m")
    array = np.full((40, 40), 100.0)
    array[:35] = -2 * moving.array[5:] + 7
    fixed = MedicalImage(array, geometry, "f")
    assert correlation(shift((5, 0), geometry, geometry), fixed, moving) == pytest.approx(-1)
    assert abs(correlation(shift((0, 0), geometry, geometry), fixed, moving)) < 0.2
    flat = MedicalImage(np.zeros((40, 40)), geometry, "flat")
    assert correlation(shift((0, 0), geometry, geometry), fixed, flat) is None
