"""Affine maps around points."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.detection.volumes.local_affine import local_affine

MATRIX = torch.tensor([[1.1, 0.2, 0.0], [-0.1, 0.9, 0.1], [0.0, 0.3, 1.2]])


@pytest.fixture
def points():
    return torch.rand(300, 3, generator=torch.Generator().manual_seed(0)) * 40


def test_an_affine_map_is_found_everywhere(points):
    found = local_affine(points, points @ MATRIX.T + 5, points[:7], width=4.0, prior=torch.eye(3))
    assert torch.allclose(found, MATRIX.expand(7, 3, 3), atol=1e-3)


def test_each_side_has_a_map_of_its_own(points):
    left = (points[:, :1] < 20).float()
    positions = left * points + (1 - left) * (points @ MATRIX.T)
    ends = torch.tensor([[4.0, 20, 20], [36.0, 20, 20]])
    near, far = local_affine(points, positions, ends, width=5.0, prior=torch.eye(3))
    assert torch.allclose(near, torch.eye(3), atol=0.05)
    assert torch.allclose(far, MATRIX, atol=0.05)


def test_far_from_all_points_it_is_finite(points):
    found = local_affine(points, 2 * points, torch.full((1, 3), 500.0), width=5.0, prior=torch.eye(3))
    assert found.isfinite().all()


def test_across_a_plane_of_points_it_is_the_prior(points):
    slab = points * torch.tensor([0.0, 1.0, 1.0])
    found = local_affine(slab, slab @ MATRIX.T, points[:4], width=5.0, prior=MATRIX)
    assert torch.allclose(found, MATRIX.expand(4, 3, 3), atol=1e-3)
    assert torch.linalg.inv(found).isfinite().all()
