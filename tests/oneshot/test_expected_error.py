"""The expected error grows with every sign of doubt and never claims too much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.oneshot.expected_error import detector_error, match_error

CANVAS = (640, 768)
LENGTHS = st.floats(0, 1e4)
SHARES = st.floats(0, 1)


SIGMA = 6.0
NARROWEST = SIGMA * (np.pi / 2) ** 0.5
SPREADS = st.floats(0, 60)


def detected(spread=NARROWEST, disagreement=0.0, canvas=CANVAS):
    signs = {"spread": np.array([spread]), "disagreement": np.array([disagreement])}
    return detector_error(sigma=SIGMA, canvas=canvas, **signs)[0]


def matched(similarity=1.0, cycle=0.0, canvas=CANVAS):
    return match_error(similarity=np.array([similarity]), cycle=np.array([cycle]), canvas=canvas)[0]


def test_a_detection_is_never_certain():
    assert 0 < detected() < 0.02 * max(CANVAS)


def test_one_value_for_each_landmark():
    found = detector_error(
        spread=np.linspace(7, 30, 5), sigma=SIGMA, disagreement=np.arange(5.0), canvas=CANVAS
    )
    assert found.shape == (5,)
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize(("error", "sign"), [(detected, "disagreement"), (matched, "cycle")])
@given(values=st.tuples(LENGTHS, LENGTHS))
def test_longer_distances_are_no_smaller_error(error, sign, values):
    low, high = sorted(values)
    assert error(**{sign: low}) <= error(**{sign: high})


@given(values=st.tuples(SPREADS, SPREADS))
def test_wider_heatmaps_are_no_smaller_error(values):
    low, high = sorted(values)
    assert detected(low) <= detected(high)


@given(values=st.tuples(SHARES, SHARES))
def test_less_agreement_is_no_smaller_error(values):
    low, high = sorted(values)
    assert matched(low) >= matched(high)


@given(SPREADS, SHARES, LENGTHS)
def test_finite_and_below_the_size_of_the_canvas(spread, share, length):
    assert 0 < detected(spread, length) < max(CANVAS)
    assert 0 <= matched(share, length) < max(CANVAS)


def test_scales_with_the_canvas():
    assert detected(canvas=(512, 768)) == pytest.approx(8 * detected(canvas=(64, 96)))
    assert matched(0.5, 24.0, (512, 768)) == pytest.approx(8 * matched(0.5, 3.0, (64, 96)))


@pytest.mark.parametrize("canvas", [(192, 160), (96, 96, 96)])
def test_the_narrowest_heatmap_leaves_what_no_sign_tells(canvas):
    middle = [(n - 1) / 2 for n in canvas]
    places = np.stack(np.meshgrid(*(np.arange(n) for n in canvas), indexing="ij"), -1) - middle
    distance = np.linalg.norm(places, axis=-1)
    heat = np.exp(-(distance**2) / (2 * SIGMA**2))
    spread = (heat * distance).sum() / heat.sum()
    assert detected(spread, canvas=canvas) == pytest.approx(5.5 * max(canvas) / 768, abs=0.05)
