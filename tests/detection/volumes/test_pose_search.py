"""Poses over all rotations and shifts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_landmark.detection.volumes.pose_search import search_poses
from napari_landmark.detection.volumes.pyramid import Pyramid
from napari_landmark.learning.rotations import rotation_angle


@pytest.mark.parametrize(
    ("number", "shape", "shift"), [(1, (56, 60, 64), (2, 0, -3)), (2, (90, 70, 80), (14, 5, -9))]
)
def test_the_true_pose_is_among_the_candidates_in_any_field_of_view(atlas, drawn, number, shape, shift):
    target, _ = drawn(rotation=number, shape=shape, shift=shift)
    poses = search_poses(atlas.volume, target, centre=atlas.centre, radius=atlas.radius)
    truth = Rotation.random(random_state=number).as_matrix()
    angles = [rotation_angle(found.numpy(), truth) for found in poses.matrices]
    best = int(np.argmin(angles))
    assert angles[best] < 25  # between the rotations that are tried
    place = (np.array(shape) - 1) / 2 + shift
    centre = truth @ (atlas.centre.numpy() / 0.5 - (np.array([56, 60, 64]) - 1) / 2) + place
    assert np.linalg.norm(poses.shifts[best].numpy() / 0.5 - centre) < 8


def test_candidates_differ_from_each_other(atlas, drawn):
    poses = search_poses(atlas.volume, drawn(rotation=1)[0], centre=atlas.centre, radius=atlas.radius)
    matrices = poses.matrices.numpy()
    assert min(rotation_angle(a, b) for k, a in enumerate(matrices) for b in matrices[:k]) > 25


def test_an_empty_volume_has_candidates_and_no_numbers_that_are_not_finite(atlas):
    poses = search_poses(
        atlas.volume, Pyramid(np.zeros((40, 40, 40)), 0.5), centre=atlas.centre, radius=atlas.radius
    )
    assert torch.isfinite(poses.matrices).all() and torch.isfinite(poses.shifts).all()
