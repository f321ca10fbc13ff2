from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.agreement.intraclass_correlation import icc_agreement, icc_consistency

# Six targets read by four judges: the example of Shrout and Fleiss (1979), whose coefficients are .29 and .71.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)


def test_the_published_example():
    agreement, consistency = icc_agreement(SHROUT_FLEISS), icc_consistency(SHROUT_FLEISS)
    assert round(agreement.value, 2) == 0.29
    assert round(consistency.value, 2) == 0.71
    # Made with pingouin 0.7.0, intraclass_corr, rows ICC(A,1) and ICC(C,1), which rounds its limits.
    assert agreement.value == pytest.approx(0.2897637795, abs=1e-9)
    assert consistency.value == pytest.approx(0.7148407148, abs=1e-9)
    assert (round(agreement.lower, 2), round(agreement.upper, 2)) == (0.02, 0.76)
    assert (round(consistency.lower, 2), round(consistency.upper, 2)) == (0.34, 0.95)


@pytest.mark.parametrize("readers", [2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_pingouin_gives_the_same(readers, seed, monkeypatch):
    pingouin = pytest.importorskip("pingouin")
    monkeypatch.setitem(pingouin.options, "round.column.CI95", None)
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 3, (20, 1)) + rng.normal(0, 1, readers) + rng.normal(0, 1 + seed, (20, readers))
    rows = [(n, r, values[n, r]) for n in range(20) for r in range(readers)]
    table = pandas.DataFrame(rows, columns=["image", "reader", "value"])
    theirs = pingouin.intraclass_corr(table, targets="image", raters="reader", ratings="value")
    theirs = theirs.set_index("Type")
    for kind, ours in (("ICC(A,1)", icc_agreement(values)), ("ICC(C,1)", icc_consistency(values))):
        assert ours.value == pytest.approx(theirs.loc[kind, "ICC"], abs=1e-9)
        np.testing.assert_allclose((ours.lower, ours.upper), theirs.loc[kind, "CI95"], atol=1e-9)


@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-1e4, 1e4), scale=st.floats(0.01, 100))
def test_shift_and_scale_of_all_do_not_matter(seed, shift, scale):
    values = np.random.default_rng(seed).normal(size=(8, 3)) + np.arange(8)[:, None]
    first, second = icc_agreement(values), icc_agreement(scale * values + shift)
    assert second.value == pytest.approx(first.value, abs=1e-6)
    assert second.lower <= second.value <= second.upper


def test_a_constant_difference_counts_for_agreement_alone():
    rng = np.random.default_rng(0)
    first = rng.normal(0, 2, 30)
    values = np.stack([first, first + rng.normal(0, 0.1, 30)], 1)
    shifted = values + np.array([0, 5])
    assert icc_consistency(shifted).value == pytest.approx(icc_consistency(values).value, abs=1e-9)
    assert icc_agreement(shifted).value < 0.4 < icc_agreement(values).value


def test_equal_readings_agree_perfectly():
    values = np.tile(np.arange(5.0)[:, None], (1, 2))
    for found in (icc_agreement(values), icc_consistency(values)):
        assert (found.value, found.lower, found.upper) == (1, 1, 1)


@pytest.mark.parametrize("values", [np.ones((10, 2)), np.ones((2, 2)), np.ones((10, 1)), np.ones((0, 2))])
def test_of_nothing_nothing_is_said(values):
    assert icc_agreement(values) is None
    assert icc_consistency(values) is None
