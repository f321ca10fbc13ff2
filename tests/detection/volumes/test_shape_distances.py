"""Differences of shapes beyond affine maps."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.detection.volumes.shape_distances import shape_distances


@pytest.fixture
def points():
    return torch.randn(40, 3, generator=torch.Generator().manual_seed(0)) * 10


def test_an_affine_map_is_no_difference(points):
    matrix = torch.tensor([[0.0, -1.2, 0], [1, 0, 0.3], [0, 0, 0.8]])
    distances = shape_distances(torch.stack([points, points @ matrix.T + 7]))
    assert distances.abs().max() < 1e-4


def test_a_bend_is_one_and_a_larger_bend_a_larger_one(points):
    bent = [points + strength * torch.sin(points.roll(1, 1) / 6) for strength in (0.0, 1.0, 3.0)]
    distances = shape_distances(torch.stack(bent))
    assert torch.equal(distances, distances.T)
    assert 0.2 < distances[0, 1] < 2
    assert distances[0, 2] > 2 * distances[0, 1]
