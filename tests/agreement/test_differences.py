from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.agreement.differences import bland_altman, dahlberg_error, prediction_ellipse


@given(seed=st.integers(0, 2**32 - 1))
def test_dahlberg_of_two_readers_is_his_formula(seed):
    values = np.random.default_rng(seed).normal(size=(9, 2))
    differences = values[:, 1] - values[:, 0]
    assert dahlberg_error(values) == pytest.approx(math.sqrt((differences**2).sum() / 18))
    assert bland_altman(*values.T).dahlberg == pytest.approx(dahlberg_error(values))


def test_dahlberg_of_many_readers_is_their_standard_deviation():
    values = np.random.default_rng(0).normal(0, 2, (4000, 5)) + np.arange(4000)[:, None]
    assert dahlberg_error(values) == pytest.approx(2, rel=0.02)


def test_dahlberg_of_positions_is_of_distances():
    values = np.zeros((6, 2, 2))
    values[:, 1] = (3, 4)
    assert dahlberg_error(values) == pytest.approx(5 / math.sqrt(2))


def test_bland_altman_recovers_bias_and_limits():
    rng = np.random.default_rng(1)
    first = rng.normal(80, 5, 5000)
    found = bland_altman(first, first + rng.normal(1.5, 2, 5000))
    assert found.bias == pytest.approx(1.5, abs=0.1)
    assert (found.lower, found.upper) == pytest.approx((1.5 - 3.92, 1.5 + 3.92), abs=0.15)
    assert found.bias_low < found.bias < found.bias_high


def test_one_image_has_a_bias_and_no_limits():
    found = bland_altman([1.0], [3.0])
    assert found.bias == 2
    assert math.isnan(found.sd)
    assert found.dahlberg == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize(("axes", "n"), [(2, 8), (2, 200), (3, 12)])
def test_the_ellipse_holds_95_percent_of_new_differences(axes, n):
    rng = np.random.default_rng(axes + n)
    matrix = rng.normal(size=(axes, axes))
    held = []
    for _ in range(400):
        sample = rng.normal(size=(n + 50, axes)) @ matrix.T + 3
        found = prediction_ellipse(sample[:n])
        along = (sample[n:] - found.centre) @ found.directions.T / found.half_axes
        held.append(((along**2).sum(1) <= 1).mean())
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


def test_axes_and_angle_of_an_ellipse():
    rng = np.random.default_rng(0)
    long, short, degrees = 4.0, 1.0, 30.0
    along = rng.normal(size=(20_000, 2)) * (long, short)
    angle = math.radians(degrees)
    x = along[:, 0] * math.cos(angle) - along[:, 1] * math.sin(angle)
    y = along[:, 0] * math.sin(angle) + along[:, 1] * math.cos(angle)
    found = prediction_ellipse(np.stack([y, x], 1))
    assert found.angle == pytest.approx(degrees, abs=1)
    factor = math.sqrt(5.991)
    np.testing.assert_allclose(found.half_axes, (long * factor, short * factor), rtol=0.03)
    assert found.measure == pytest.approx(math.pi * long * short * 5.991, rel=0.05)


def test_three_differences_have_no_ellipse():
    assert prediction_ellipse(np.zeros((3, 2))) is None
