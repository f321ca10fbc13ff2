"""Refinement of a pose that is nearly right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_landmark.detection.volumes.affine import refine_poses
from napari_landmark.detection.volumes.pose_search import Poses


@pytest.mark.parametrize("similarity", [True, False])
def test_a_pose_ten_degrees_off_becomes_exact(atlas, drawn, similarity):
    target, landmarks = drawn(rotation=3, shift=(2, -1, 1))
    truth = Rotation.random(random_state=3).as_matrix()
    turned = Rotation.from_rotvec([0.1, -0.1, 0.1]).as_matrix() @ truth
    shift = landmarks.mean(0) - torch.from_numpy(truth).float() @ (atlas.landmarks.mean(0) - atlas.centre)
    start = Poses(torch.from_numpy(turned).float()[None], shift[None] + 1.0)
    level, points, values = atlas.samples(1)
    found = refine_poses(
        start, target, points=points, values=values, factor=level, steps=15, similarity=similarity
    )
    carried = (atlas.landmarks - atlas.centre) @ found.poses.matrices[0].T + found.poses.shifts[0]
    assert (carried - landmarks).norm(dim=1).max() < 0.4  # mm, of cells of 2 mm
    assert found.correlation > 0.95
    if similarity:
        matrix = found.poses.matrices[0].numpy()
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3) * (matrix @ matrix.T)[0, 0], atol=1e-4)


def test_contrast_and_brightness_do_not_matter_and_a_hidden_part_is_left_out(atlas, drawn):
    target, _ = drawn()
    level, points, values = atlas.samples(2)
    start = Poses(torch.eye(3)[None], atlas.centre[None])
    whole = refine_poses(start, target, points=points, values=0.3 * values + 5, factor=level, steps=0)
    assert whole.correlation > 0.95
    target.level(1)[:, :, 28:] = 0
    cut = drawn(shape=(28, 60, 64), shift=(14, 0, 0))[0]
    part = refine_poses(start, cut, points=points, values=values, factor=level, steps=0)
    assert 0.3 < part.overlap < 0.7 and part.correlation > 0.95
