"""Rotations that cover the circle or the sphere."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_landmark.learning.rotations import all_rotations, rotation_angle


@pytest.mark.parametrize(("count", "gap"), [(2000, 16), (1000, 20)])
def test_no_rotation_is_far_from_all(count, gap):
    grid = Rotation.from_matrix(all_rotations(3, count))
    for turn in Rotation.random(30, random_state=0):
        assert np.degrees((grid * turn.inv()).magnitude().min()) < gap


def test_the_angle_between_rotations():
    plane, space = all_rotations(2), Rotation.from_rotvec([[0, 0, 0], [0.5, 0, 0]]).as_matrix()
    assert rotation_angle(plane[0], plane[3]) == pytest.approx(45)
    assert rotation_angle(space[0], space[1]) == pytest.approx(np.degrees(0.5))
