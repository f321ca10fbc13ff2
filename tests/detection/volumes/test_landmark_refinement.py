"""Shift that most matches around a landmark agree on."""

from __future__ import annotations

import torch

from napari_landmark.detection.volumes.landmark_refinement import refine_landmarks

UPRIGHT = torch.eye(3).expand(4, 3, 3)


def test_a_landmark_a_cell_off_is_put_right(atlas):
    off = torch.tensor([[0.6, -0.4, 0.3], [-0.5, 0.0, 0.5], [0.0, 0.4, 0.0], [0.2, 0.2, -0.6]])
    known = atlas.landmarks
    refined = refine_landmarks((atlas.volume, known), (atlas.volume, known + off), UPRIGHT)
    assert (refined.positions - atlas.landmarks).norm(dim=1).max() < 0.1  # mm, of 0.5 a cell
    assert refined.correlation.min() > 0.9
    assert refined.spread.max() < 0.3


def test_matches_scatter_where_the_structure_is_missing(atlas, drawn):
    target, _ = drawn()
    z, y, x = (atlas.landmarks[0] / 0.5).round().long().tolist()
    target.level(1)[:, :, z - 7 : z + 8, y - 7 : y + 8, x - 7 : x + 8] = torch.rand(
        15, 15, 15, generator=torch.Generator().manual_seed(0)
    )
    refined = refine_landmarks((atlas.volume, atlas.landmarks), (target, atlas.landmarks), UPRIGHT)
    assert refined.spread[0] > 3 * refined.spread[1:].max()


def test_cubes_follow_the_map_around_each_landmark(atlas, drawn):
    """Without the rotation of a body that is turned its cubes are matched anywhere."""
    from scipy.spatial.transform import Rotation

    turned, truth = drawn(rotation=1)
    matrix = torch.from_numpy(Rotation.random(random_state=1).as_matrix()).float()
    off = torch.tensor([0.4, -0.3, 0.2])
    matrices = matrix.expand(4, 3, 3)
    refined = refine_landmarks((atlas.volume, atlas.landmarks), (turned, truth + off), matrices)
    assert (refined.positions - truth).norm(dim=1).max() < 0.15
    blind = refine_landmarks((atlas.volume, atlas.landmarks), (turned, truth + off), UPRIGHT)
    assert blind.spread.mean() > 2 * refined.spread.mean()
