"""Predictions as a deformation of the template: what is certain tells of what slides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_landmark.detection.model.landmark_kriging import krige


def contour(count: int = 24) -> NDArray[np.float64]:
    """Points along an ellipse, 100 pixels in the mean from its middle."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([250 + 120 * np.sin(angle), 300 + 80 * np.cos(angle)], axis=1)


def deformed(points: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """The points under a similarity and a rough random field of some pixels."""
    rng = np.random.default_rng(seed)
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    field = np.linalg.cholesky(12.0**2 * np.exp(-apart / 100) + 1e-6 * np.eye(len(points)))
    angle = 0.2
    turn = 1.3 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + [40, -10] + field @ rng.normal(size=points.shape)


def alike(variance: float, count: int) -> NDArray[np.float64]:
    return np.tile(variance * np.eye(2), (count, 1, 1))


def test_an_error_as_it_is_stated_becomes_less() -> None:
    template = contour()
    before, after = [], []
    for seed in range(20):
        truth = deformed(template, seed)
        found = truth + np.random.default_rng(100 + seed).normal(scale=10, size=truth.shape)
        kriged = krige(template, found, alike(100, len(template)))
        before.append(np.linalg.norm(found - truth, axis=1).mean())
        after.append(np.linalg.norm(kriged - truth, axis=1).mean())
    assert np.mean(after) < 0.8 * np.mean(before)


def test_what_slides_moves_along_the_direction_in_which_it_is_uncertain() -> None:
    template = contour()
    truth = deformed(template, 3)
    found, covariances = truth.copy(), alike(0.01, len(template))
    found[5] += [30, 0]
    covariances[5] = [[900, 0], [0, 0.01]]
    kriged = krige(template, found, covariances)
    assert abs(kriged[5, 0] - truth[5, 0]) < 12
    assert abs(kriged[5, 1] - truth[5, 1]) < 0.5
    others = np.arange(len(template)) != 5
    np.testing.assert_allclose(kriged[others], truth[others], atol=0.2)


def test_certain_positions_stay() -> None:
    template = contour()
    found = deformed(template, 1)
    np.testing.assert_allclose(krige(template, found, alike(1e-4, len(template))), found, atol=0.01)


@given(
    seed=st.integers(0, 1000),
    angle=st.floats(-np.pi, np.pi),
    scale=st.floats(0.2, 5),
    mirrored=st.booleans(),
)
def test_the_system_of_coordinates_does_not_matter(
    seed: int, angle: float, scale: float, mirrored: bool
) -> None:
    template = contour(12)
    found = deformed(template, seed) + np.random.default_rng(seed).normal(scale=5, size=template.shape)
    covariances = alike(25, len(template))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if mirrored:
        turn = turn @ np.diag([1.0, -1.0])
    kriged = krige(template, found, covariances)
    elsewhere = krige(template, found @ turn.T + [7, -3], turn @ covariances @ turn.T)
    np.testing.assert_allclose(elsewhere, kriged @ turn.T + [7, -3], atol=1e-6 * scale * 300)
    moved_template = krige(template @ turn.T - 20, found, covariances)
    np.testing.assert_allclose(moved_template, kriged, atol=1e-4)


def test_unknown_landmarks_are_left_alone() -> None:
    template = contour()
    found, covariances = deformed(template, 2) + 3, alike(100, len(template))
    found[1], template[2], covariances[3] = np.nan, np.nan, np.nan
    kriged = krige(template, found, covariances)
    assert np.isnan(kriged[1]).all()
    np.testing.assert_array_equal(kriged[2:4], found[2:4])
    assert (kriged[4:] != found[4:]).all()


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_an_affine_map_fits_three_landmarks(count: int) -> None:
    template = contour(24)[:count]
    found = template + np.arange(2 * count).reshape(count, 2)
    np.testing.assert_array_equal(krige(template, found, alike(100, count)), found)


def test_landmarks_on_a_line_and_at_one_place() -> None:
    line = np.stack([np.arange(8.0) * 10, np.zeros(8)], axis=1)
    found = line + np.random.default_rng(0).normal(scale=2, size=line.shape)
    assert np.abs(krige(line, found, alike(4, 8)) - found).max() < 10
    together = np.full((8, 2), 50.0)
    np.testing.assert_array_equal(krige(together, found, alike(4, 8)), found)
    np.testing.assert_array_equal(krige(line, together, alike(4, 8)), together)


def test_volumes() -> None:
    rng = np.random.default_rng(4)
    template = rng.uniform(0, 100, (20, 3))
    truth = template * [1.1, 0.9, 1.0] + 5
    found = truth + rng.normal(scale=4, size=truth.shape)
    kriged = krige(template, found, np.tile(16 * np.eye(3), (20, 1, 1)))
    assert np.linalg.norm(kriged - truth, axis=1).mean() < 0.8 * np.linalg.norm(found - truth, axis=1).mean()
