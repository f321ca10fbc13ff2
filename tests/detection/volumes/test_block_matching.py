"""Small cubes and their matches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, shift

from napari_landmark.detection.volumes.block_matching import cut_blocks, match_blocks, normalized
from napari_landmark.detection.volumes.pyramid import Pyramid

POINTS = torch.tensor([[10.0, 11, 12], [13, 10, 9], [11.5, 12.2, 10.7]]) * 0.5


@pytest.fixture
def texture():
    """Smooth texture of values around 0.5."""
    texture = gaussian_filter(np.random.default_rng(0).normal(size=(24, 24, 24)), 2)
    return 0.5 + 0.2 * texture / texture.std()


@pytest.mark.parametrize("by", [(0, 0, 0), (1.3, -0.6, 0.4), (-2, 2, 1.5)])
def test_a_shift_is_found_to_a_fraction_of_a_cell_whatever_the_contrast(texture, by):
    template = Pyramid(texture, 0.5)
    target = Pyramid(3 + 0.5 * shift(texture, by, order=3, mode="nearest"), 0.5)
    blocks = normalized(cut_blocks(template, POINTS, torch.eye(3), factor=1, radius=3))
    found = match_blocks(blocks, target, POINTS, torch.eye(3), factor=1, search=3)
    np.testing.assert_allclose(found.displacements / 0.5, [by] * 3, atol=0.25)
    assert found.correlation.min() > 0.9
    assert found.maps.shape == (3, 7, 7, 7)


def test_displacements_are_along_the_axes_of_the_template(texture):
    """The target is the template with its axes exchanged, then shifted along the template's last axis."""
    template = Pyramid(texture, 1.0)
    target = Pyramid(shift(texture, (0, 0, 2), order=1).transpose(2, 1, 0), 1.0)
    swap = torch.tensor([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])
    points = 2 * POINTS
    blocks = normalized(cut_blocks(template, points, torch.eye(3), factor=1, radius=3))
    found = match_blocks(blocks, target, points @ swap.T, swap, factor=1, search=3)
    np.testing.assert_allclose(found.displacements, [[0, 0, 2]] * 3, atol=0.25)


def test_a_uniform_block_matches_nowhere():
    flat = Pyramid(np.full((24, 24, 24), 0.5), 1.0)
    blocks = normalized(cut_blocks(flat, POINTS, torch.eye(3), factor=1, radius=2))
    found = match_blocks(blocks, flat, POINTS, torch.eye(3), factor=1, search=2)
    assert torch.isfinite(found.displacements).all()
    assert found.correlation.abs().max() < 0.01
