"""Measures of a pair before and after a known translation."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.registration.pairwise.pair_measures import measure_pair
from napari_landmark.registration.transform.transform import Transform

SHAPE, SHIFT = (40, 50), np.array([6.0, -9.0])


def spot(centre):
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    return (200 * np.exp(-(((grid - centre) / 5.0) ** 2).sum(-1))).astype(np.uint8)


def point(position):
    return LandmarkSet.from_array(LandmarkSchema(("centre",)), np.array([position]), Status.PLACED)


@pytest.fixture(params=[None, (0.5, 0.5)], ids=["px", "mm"])
def pair(request):
    geometry = Geometry(SHAPE, request.param)
    centre = np.array([16.0, 30.0])
    arrays = spot(centre), spot(centre + SHIFT)
    fixed, moving = (MedicalImage(a, geometry, n) for a, n in zip(arrays, ("fixed", "moving"), strict=True))
    transform = Transform.affine(
        np.eye(2), SHIFT * (request.param or (1.0, 1.0)), fixed=geometry, moving=geometry
    )
    return transform, fixed, moving, point(centre), point(centre + SHIFT)


def test_of_a_known_translation(pair):
    transform, fixed, moving, fixed_landmarks, moving_landmarks = pair
    measures = measure_pair(
        transform,
        fixed,
        moving,
        fixed_labels=(fixed.array > 80).astype(np.uint8) * 3,
        moving_labels=(moving.array > 80).astype(np.uint8) * 3,
        fixed_landmarks=fixed_landmarks,
        moving_landmarks=moving_landmarks,
    )
    before, after = measures.similarity
    assert after > 0.99 > before
    assert measures.dice[3][1] == 1.0 > measures.dice[3][0]
    assert measures.mean_dice == measures.dice[3]
    scale = 1.0 if fixed.geometry.spacing is None else 0.5
    assert measures.unit == ("px" if fixed.geometry.spacing is None else "mm")
    np.testing.assert_allclose(measures.mean_error, (scale * np.linalg.norm(SHIFT), 0.0), atol=1e-3)
    assert measures.folding_percent == 0


def test_without_labels_and_landmarks(pair):
    transform, fixed, moving, *_ = pair
    measures = measure_pair(transform, fixed, moving)
    assert measures.mean_dice is None
    assert measures.mean_error is None


def test_a_constant_image_has_no_similarity():
    geometry = Geometry(SHAPE)
    image = MedicalImage(np.full(SHAPE, 7, np.uint8), geometry, "flat")
    transform = Transform.affine(np.eye(2), np.zeros(2), fixed=geometry, moving=geometry)
    assert measure_pair(transform, image, image).similarity == (None, None)
