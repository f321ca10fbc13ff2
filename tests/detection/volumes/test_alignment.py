"""Landmarks carried into other volumes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_landmark.detection.volumes.alignment import align
from napari_landmark.detection.volumes.pyramid import Pyramid


@pytest.mark.parametrize("number", [1, 2, 3])
def test_landmarks_of_a_bent_body_are_found_in_any_pose(atlas, drawn, number):
    target, truth = drawn(rotation=number, bend=1.0, shift=(number, 0, -2))
    found = align(atlas, target)
    assert (found.landmarks - truth).norm(dim=1).max() < 0.5 * 0.5  # half a cell
    assert found.agreement > 0.7 and found.overlap > 0.8


def test_a_volume_of_something_else_agrees_less(atlas, drawn):
    noise = Pyramid(np.random.default_rng(0).random((56, 60, 64)), 0.5)
    assert align(atlas, noise).agreement < 0.5 * align(atlas, drawn(rotation=1)[0]).agreement


def test_positions_go_back_to_the_atlas(atlas, drawn):
    target, truth = drawn(rotation=1, bend=1.0)
    found = align(atlas, target)
    assert (found.to_atlas(atlas, truth) - atlas.landmarks).norm(dim=1).max() < 0.25
    unknown = found.to_atlas(atlas, torch.full_like(truth, torch.nan))
    assert unknown.isnan().all()


def test_a_landmark_that_the_atlas_lacks_comes_from_its_surroundings(drawn, quick_alignment):
    from napari_landmark.detection.volumes.atlas import Atlas

    volume, landmarks = drawn()
    partial = landmarks.clone()
    partial[2] = torch.nan
    atlas = Atlas.from_annotation(volume, partial)
    target, truth = drawn(rotation=2)
    found = align(atlas, target)
    assert found.landmarks.isnan().any(1).tolist() == [False, False, True, False]
    assert (found.to_atlas(atlas, truth)[2] - landmarks[2]).norm() < 0.5
