"""The first bright surface along a ray."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.surface import BONE, first_surface, surface_threshold

CENTRE, RADIUS = np.array([20.0, 22.0, 24.0]), 9.0
GRID = np.stack(np.meshgrid(*[np.arange(45.0)] * 3, indexing="ij"), -1)


def ball(inside=1000.0, outside=0.0):
    """A ball whose edge is a voxel wide; half of its brightness is at its radius."""
    share = np.clip(RADIUS + 0.5 - np.linalg.norm(GRID - CENTRE, axis=-1), 0, 1)
    return outside + (inside - outside) * share


BALL = ball()


@given(st.integers(0, 10_000))
def test_from_any_side_the_surface_that_is_nearest_to_the_eye_is_met(seed):
    random = np.random.default_rng(seed)
    direction = random.normal(size=3)
    direction /= np.linalg.norm(direction)
    aside = np.cross(direction, random.normal(size=3))
    aside *= random.uniform(0, 0.8) * RADIUS / np.linalg.norm(aside)
    through = CENTRE + aside
    expected = through - np.sqrt(RADIUS**2 - aside @ aside) * direction
    found = first_surface(BALL, through - 90 * direction, through + 90 * direction, threshold=500)
    assert np.linalg.norm(np.subtract(found, expected)) < 0.4


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_every_type_of_pixels(dtype):
    array = ball(200).astype(dtype)
    assert first_surface(array, (20, 22, 0), (20, 22, 44), threshold=100)[2] == pytest.approx(15, abs=0.1)


def test_why_nothing_is_met():
    with pytest.raises(InputError, match="as bright as 2000: lower the threshold"):
        first_surface(BALL, (20, 22, 0), (20, 22, 44), threshold=2000)
    with pytest.raises(InputError, match="beside the volume"):
        first_surface(BALL, (-5, 0, 0), (-5, 44, 44), threshold=500)
    with pytest.raises(InputError, match=r"cut off under the cursor.*raise"):
        first_surface(BALL[:, 22:], (20, -9, 24), (20, 44, 24), threshold=500)


def test_thresholds():
    array = ball(1200, -1000)
    array[5:9] = 40
    assert surface_threshold(array.astype(np.int16)) == BONE
    assert 200 < surface_threshold(BALL) < 800
    assert surface_threshold(np.full((4, 4, 4), 7)) == 7
