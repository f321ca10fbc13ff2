"""Volumes at several resolutions, sampled at positions in mm."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_landmark.detection.volumes.pyramid import Pyramid


@pytest.fixture
def ramp():
    """Volume whose value is 0.1 z + 0.02 y - 0.03 x mm."""
    z, y, x = np.indices((24, 24, 28)) * 0.5
    return Pyramid(0.1 * z + 0.02 * y - 0.03 * x, 0.5)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_every_level_has_the_same_values_and_slopes_at_the_same_position(ramp, factor):
    points = torch.tensor([[4.3, 5.1, 5.2], [5.9, 6.4, 7.0]])
    found = ramp.values_and_slopes(points, factor)
    np.testing.assert_allclose(found[0], points @ torch.tensor([0.1, 0.02, -0.03]), atol=1e-5)
    np.testing.assert_allclose(found[1:].T, [[0.1, 0.02, -0.03]] * 2, atol=1e-5)
    np.testing.assert_allclose(ramp.values(points, factor), found[0])


def test_centres_of_a_level_are_those_of_its_cubes(ramp):
    centres = ramp.centres(4)
    assert len(centres) == 6 * 6 * 7
    assert centres[0].tolist() == [0.75, 0.75, 0.75]
    assert centres[-1].tolist() == [10.75, 10.75, 12.75]


def test_a_thin_volume_has_coarse_levels_too():
    thin = Pyramid(np.ones((3, 16, 16)), 1.0)
    assert thin.level(8).shape == (1, 1, 1, 2, 2)


def test_positions_on_the_volume(ramp):
    points = torch.tensor([[0.0, 0, 0], [-0.3, 0, 0], [11.7, 11.7, 13.7], [11.8, 11.7, 13.7]])
    assert ramp.contains(points).tolist() == [True, False, True, False]
