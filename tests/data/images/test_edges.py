"""The strongest edge near a position."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.images.edges import strongest_edge


def step(angle: float, offset: float, *, contrast: float = 100.0) -> np.ndarray:
    """A blurred step whose edge is `offset` pixels from the middle (40, 40), across a direction."""
    y, x = np.mgrid[:81, :81] - 40.0
    away = y * np.sin(angle) + x * np.cos(angle) - offset
    return contrast / (1 + np.exp(-away / 0.6))


@pytest.mark.parametrize("angle", np.deg2rad([0, 30, 45, 90, 200]))
@pytest.mark.parametrize("offset", [-3.3, 0.0, 2.4])
def test_it_is_on_the_edge_to_a_tenth_of_a_pixel(angle, offset):
    y, x = strongest_edge(step(angle, offset), (40, 40), radius=6)
    assert (y - 40) * np.sin(angle) + (x - 40) * np.cos(angle) == pytest.approx(offset, abs=0.1)


def test_it_is_within_the_radius():
    y, x = strongest_edge(step(0.0, 9.0), (40, 40), radius=5) or (40, 40)
    assert np.hypot(y - 40, x - 40) <= 6  # the radius, and a pixel across the edge


def test_of_two_edges_of_one_strength_the_nearer_is_taken():
    both = step(0.0, 2.0) - step(0.0, -5.0)
    _, x = strongest_edge(both, (40, 40), radius=8)
    assert x == pytest.approx(42, abs=0.3)


def test_no_edge_and_outside():
    assert strongest_edge(np.full((20, 20), 7), (10, 10), radius=4) is None
    assert strongest_edge(step(0, 0), (-5, 10), radius=4) is None


def test_at_the_border_it_stays_in_the_image():
    image = np.zeros((20, 20))
    image[:, 1:] = 100
    y, x = strongest_edge(image, (0, 0), radius=4)
    assert 0 <= y <= 19
    assert x == pytest.approx(0.5, abs=0.3)
