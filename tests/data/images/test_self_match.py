"""Matches of drawn pictures with themselves: corners, contours, noise."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.images.self_match import match_with_itself

SIDE = 400


def picture(draw, *, noise=8.0, spacing=None):
    """Picture of a function of y and x in pixels, with noise."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    array = 100 + draw(y, x) + np.random.default_rng(5).normal(scale=noise, size=y.shape)
    return MedicalImage(array.astype(np.float32), Geometry((SIDE, SIDE), spacing), "drawn.png")


def edge(y, x):
    return 100 / (1 + np.exp(-(y - 200)))


def corner(y, x):
    return 100 / (1 + np.exp(-(y - 200))) / (1 + np.exp(-(x - 200)))


def test_a_corner_is_found_again():
    found = match_with_itself(picture(corner), (200, 200))
    assert found.along < 2
    assert found.has_structure
    assert not found.slides


def test_matches_slide_along_a_contour():
    found = match_with_itself(picture(edge), (200, 180))
    assert found.across < 1.5
    assert found.along > 3
    assert abs(found.direction[1]) > 0.95
    assert found.slides
    assert found.unit == "px"


def test_millimetres():
    found = match_with_itself(picture(edge, spacing=(0.5, 0.5)), (200, 180))
    assert found.unit == "mm"
    assert found.across < 0.75
    assert found.along > 1.5


@pytest.mark.parametrize("away", [10, 15])
def test_distance_to_the_nearest_edge(away):
    found = match_with_itself(picture(edge), (200 - away, 180))
    assert found.nearest_edge == pytest.approx(away, abs=3)
    assert not found.has_structure  # 400 pixels are 4 to each side


def test_noise_alone():
    found = match_with_itself(picture(lambda y, x: 0 * y), (200, 180))
    assert not found.has_structure
    assert min(found.across, found.along) > 1


def test_at_the_border_and_without_any_contrast():
    assert match_with_itself(picture(edge), (200, 0)) is not None
    flat = match_with_itself(picture(lambda y, x: 0 * y, noise=0.0), (399, 399))
    assert flat.nearest_edge is None


def test_volumes_are_not_checked():
    volume = MedicalImage(np.zeros((4, 5, 6), np.float32), Geometry((4, 5, 6)), "v.nii")
    assert match_with_itself(volume, (1, 1, 1)) is None
