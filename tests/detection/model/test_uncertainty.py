"""The expected error grows with every sign of doubt and never claims too much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.detection.model.uncertainty import (
    detector_error,
    match_error,
    native_error,
    refinement_error,
)

CANVAS = (640, 768)
LENGTHS = st.floats(0, 1e4)
SHARES = st.floats(0, 1)


SIGMA = 6.0
NARROWEST = SIGMA * (np.pi / 2) ** 0.5
SPREADS = st.floats(0, 60)


def detected(spread=NARROWEST, canvas=CANVAS):
    return detector_error(spread=np.array([spread]), sigma=SIGMA, canvas=canvas)[0]


def matched(similarity=1.0, cycle=0.0, canvas=CANVAS):
    return match_error(similarity=np.array([similarity]), cycle=np.array([cycle]), canvas=canvas)[0]


def refined(error=6.0, consensus=1.0, typical=None, others=()):
    """Of the first landmark; `others` is the consensus of the others in the image."""
    consensus = np.array([consensus, *others])
    errors = np.array([error, *np.full(len(others), 6.0)])
    typical = None if typical is None else np.array([typical, *np.full(len(others), 0.5)])
    return refinement_error(errors, consensus=consensus, typical=typical)[0]


def test_a_detection_is_never_certain():
    assert 0 < detected() < 0.02 * max(CANVAS)
    assert 0 < refined(detected()) < 0.02 * max(CANVAS)
    assert 0 < refined(detected(), typical=1.0) < 0.02 * max(CANVAS)


def test_one_value_for_each_landmark():
    found = detector_error(spread=np.linspace(7, 30, 5), sigma=SIGMA, canvas=CANVAS)
    assert found.shape == (5,)
    assert (np.diff(found) > 0).all()
    falling = np.linspace(1, 0, 5)
    for typical in (None, falling):
        closer = refinement_error(np.full(5, 4.0), consensus=falling, typical=typical)
        assert closer.shape == (5,)
        assert (np.diff(closer) > 0).all()


@given(values=st.tuples(LENGTHS, LENGTHS))
def test_a_larger_cycle_is_no_smaller_error(values):
    low, high = sorted(values)
    assert matched(cycle=low) <= matched(cycle=high)


@pytest.mark.parametrize("typical", [None, 0.5])
@given(values=st.tuples(SHARES, SHARES))
def test_more_consensus_is_no_larger_error(typical, values):
    low, high = sorted(values)
    assert refined(consensus=low, typical=typical) >= refined(consensus=high, typical=typical)


def test_consensus_counts_here_in_the_cohort_and_in_the_image():
    usual = {"consensus": 0.5, "typical": 0.5, "others": [0.5]}
    for less in ({"consensus": 0.4, "others": [0.6]}, {"typical": 0.4}, {"others": [0.4]}):
        assert refined(**{**usual, **less}) > 1.01 * refined(**usual)


@given(values=st.tuples(SHARES, SHARES), consensus=SHARES)
def test_what_is_found_less_surely_elsewhere_is_no_surer_here(values, consensus):
    low, high = sorted(values)
    assert refined(consensus=consensus, typical=low) >= refined(consensus=consensus, typical=high)
    assert refined(consensus=consensus, others=[low]) >= refined(consensus=consensus, others=[high])


@pytest.mark.parametrize("typical", [None, 0.3])
def test_a_landmark_that_no_template_shows_does_not_count(typical):
    without = refined(consensus=0.4, others=[0.8], typical=typical)
    assert refined(consensus=0.4, others=[0.8, np.nan], typical=typical) == pytest.approx(without)


@given(values=st.tuples(LENGTHS, LENGTHS), consensus=SHARES)
def test_what_was_doubtful_before_is_no_surer_than_another(values, consensus):
    low, high = sorted(values)
    assert refined(low, consensus) <= refined(high, consensus)


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
    assert 0 < detected(spread) < max(CANVAS)
    assert 0 <= matched(share, length) < max(CANVAS)
    for typical in (None, 0.0, 1.0):
        assert 0 < refined(detected(spread), share, typical) < max(CANVAS)


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
    assert detected(spread, canvas=canvas) == pytest.approx(4.9 * max(canvas) / 768, abs=0.05)


def test_native_pixels_lower_the_error_where_they_agree():
    error = np.full(5, 6.0)
    found = native_error(error, consensus=np.array([0.0, 0.2, 0.65, 1.0, np.nan]))
    assert found[0] > found[1] > found[2] > found[3] > 0.75 * 6
    assert found[2] < 6 < found[0] < 1.5 * 6
    assert np.isnan(found[4])
