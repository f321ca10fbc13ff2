"""The expected error grows with every sign of doubt and never claims too much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.oneshot.expected_error import expected_error

CANVAS = (640, 768)
LENGTHS = st.floats(0, 1e4)


def single(**signs):
    signs = {"cycle": 0.0, **signs}
    return expected_error(canvas=CANVAS, **{name: np.array([value]) for name, value in signs.items()})[0]


def test_never_zero():
    assert 0 < single() < 0.02 * max(CANVAS)


def test_one_value_for_each_landmark():
    found = expected_error(cycle=np.zeros(5), canvas=CANVAS, spread=np.arange(5.0), disagreement=np.ones(5))
    assert found.shape == (5,)
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("sign", ["cycle", "spread", "disagreement"])
@given(values=st.tuples(LENGTHS, LENGTHS))
def test_more_doubt_is_no_smaller_error(sign, values):
    low, high = sorted(values)
    assert single(**{sign: low}) <= single(**{sign: high})


@given(LENGTHS, LENGTHS, LENGTHS)
def test_finite_and_positive(cycle, spread, disagreement):
    value = single(cycle=cycle, spread=spread, disagreement=disagreement)
    assert np.isfinite(value)
    assert value > 0


def test_a_lost_landmark_is_no_astronomical_number():
    assert single(cycle=1e6) < max(CANVAS)


def test_scales_with_the_canvas():
    small = expected_error(cycle=np.array([3.0]), canvas=(64, 96))
    large = expected_error(cycle=np.array([24.0]), canvas=(512, 768))
    np.testing.assert_allclose(large, 8 * small)
