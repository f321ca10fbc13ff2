"""Mean radial error, principal axes and regions of covariances, against draws from normal distributions."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.error_covariance import (
    isotropic,
    mean_radial_error,
    principal_axes,
    radial_bound,
    region_radius,
    with_mean_radial_error,
)

COVARIANCES = [
    np.eye(2),
    np.diag([9.0, 1.0]),
    np.array([[4.0, 1.5], [1.5, 1.0]]),
    np.diag([0.0, 4.0]),
    np.diag([1.0, 2.0, 9.0]),
    np.array([[3.0, 1.0, 0.5], [1.0, 2.0, 0.3], [0.5, 0.3, 1.0]]),
]


def draws(covariance, count=200_000):
    return np.random.default_rng(0).multivariate_normal(np.zeros(len(covariance)), covariance, count)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_mean_length_of_draws(covariance):
    drawn = np.linalg.norm(draws(covariance), axis=1).mean()
    assert mean_radial_error(covariance) == pytest.approx(drawn, rel=0.01)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_scaled_to_a_mean_error_with_the_same_shape(covariance):
    scaled = with_mean_radial_error(covariance, 3.0)
    assert mean_radial_error(scaled) == pytest.approx(3.0)
    assert np.allclose(scaled / np.trace(scaled), covariance / np.trace(covariance))


@pytest.mark.parametrize("covariance", [COVARIANCES[2], COVARIANCES[5]])
def test_the_region_holds_its_share(covariance):
    errors = draws(covariance)
    squared = (errors * np.linalg.solve(covariance, errors.T).T).sum(1)
    assert np.mean(squared <= region_radius(0.9, len(covariance)) ** 2) == pytest.approx(0.9, abs=0.005)


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("probability", [0.5, 0.9])
def test_the_bound_holds_its_share_of_draws(covariance, probability):
    lengths = np.linalg.norm(draws(covariance), axis=1)
    assert np.mean(lengths <= radial_bound(covariance, probability)) == pytest.approx(probability, abs=0.005)


def test_the_bound_of_no_error():
    assert radial_bound(np.zeros((2, 2)), 0.9) == 0


def test_a_batch_with_unknown_ones():
    batch = np.stack([np.eye(2), np.full((2, 2), np.nan)])
    errors = mean_radial_error(batch)
    assert errors[0] == pytest.approx(np.sqrt(np.pi / 2))
    assert np.isnan(errors[1])
    deviations, axes = principal_axes(batch)
    assert np.isnan(deviations[1]).all()
    assert np.isnan(axes[1]).all()


def test_no_extent_is_alike_in_all_directions():
    assert np.allclose(with_mean_radial_error(np.zeros((2, 2)), 2.0), isotropic(2.0, 2))


def test_axes_are_columns_smallest_first():
    turned = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    deviations, axes = principal_axes(turned @ np.diag([1.0, 16.0]) @ turned.T)
    assert deviations == pytest.approx([1, 4])
    assert abs(axes[:, 1] @ turned[:, 1]) == pytest.approx(1)
