"""Smooth displacements through uncertain ones."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.detection.volumes.smooth_displacement import SmoothDisplacement


@pytest.fixture
def points():
    """Points in a cube of 20 mm."""
    return 20 * torch.rand(200, 3, generator=torch.Generator().manual_seed(0))


def _field(points):
    return 0.3 + 0.05 * points[:, [1, 2, 0]] + torch.sin(points / 5)


def test_the_field_is_followed_and_wrong_displacements_are_not(points):
    wanted = _field(points)
    wrong = wanted.clone()
    wrong[::5] += 6 * torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
    smooth = SmoothDisplacement(points, wrong, torch.ones(200), width=5.0, noise=0.3)
    inner = (points - 10).abs().amax(1) < 8
    assert (smooth(points) - wanted)[inner].norm(dim=1).mean() < 0.25
    between = points[inner] + 0.5
    assert (smooth(between) - _field(between)).norm(dim=1).mean() < 0.3


def test_far_from_all_points_it_is_the_affine_map(points):
    linear = 0.3 + 0.05 * points[:, [1, 2, 0]]
    smooth = SmoothDisplacement(points, linear, torch.ones(200), width=2.0, noise=0.3)
    far = torch.tensor([[60.0, -30, 50]])
    assert (smooth(far) - (0.3 + 0.05 * far[:, [1, 2, 0]])).norm() < 0.02


def test_few_points_are_enough():
    one = SmoothDisplacement(torch.zeros(1, 3), torch.ones(1, 3), torch.ones(1), width=1.0, noise=0.3)
    assert torch.isfinite(one(torch.zeros(2, 3))).all()
