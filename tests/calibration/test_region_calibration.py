"""Regions calibrated by corrected images hold their share of drawn errors."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.calibration.region_calibration import (
    calibrate_regions,
    choose_checks,
    landmark_means,
    representation_weights,
)

LANDMARKS = 15


def draw(seed, images, *, scale=1.0, by_landmark=0.5):
    """Scores of images whose stated regions are too small by a factor, a different one for each landmark."""
    generator = np.random.default_rng(seed)
    own = scale * np.exp(by_landmark * np.random.default_rng(99).standard_normal(LANDMARKS))
    return own * np.abs(generator.standard_normal((images, LANDMARKS)))


def test_held_share_of_new_images():
    shares, worst = [], []
    for seed in range(20):
        scores = draw(seed, 10, scale=3.0)
        fitted = calibrate_regions(scores, scores)
        held = draw(1000 + seed, 400, scale=3.0) <= fitted.factors
        shares.append(held.mean())
        worst.append(held.mean(0).min())
    assert np.mean(shares) == pytest.approx(0.9, abs=0.03)
    assert np.mean(worst) > 0.7
    one_factor = [
        (draw(1000 + seed, 400) <= np.quantile(draw(seed, 10), 0.9)).mean(0).min() for seed in range(20)
    ]
    assert np.mean(one_factor) < 0.65


def test_landmarks_of_one_scale_get_nearly_one_factor():
    scores = draw(0, 10, by_landmark=0.0)
    factors = calibrate_regions(scores, scores).factors
    assert factors.max() / factors.min() < 1.5


def test_few_images_are_not_enough():
    assert calibrate_regions(draw(0, 4), draw(0, 4)) is None
    empty = np.vstack([draw(0, 4), np.full((3, LANDMARKS), np.nan)])
    assert calibrate_regions(empty, empty) is None


def test_landmarks_that_were_not_corrected():
    scores = draw(0, 8)
    scores[:, 3] = np.nan
    scores[2, 5] = np.nan
    fitted = calibrate_regions(scores, scores)
    assert np.isfinite(fitted.factors).all()
    assert (fitted.n_images, fitted.n_landmarks) == (8, 8 * LANDMARKS - 9)
    assert fitted.held == np.mean(scores[np.isfinite(scores)] <= 1)


def test_means_are_shrunk_by_how_little_is_known():
    generator = np.random.default_rng(0)
    few, many = (np.abs(generator.standard_normal((n, 200))) for n in (3, 300))
    spread = [np.log(landmark_means(values, np.ones(len(values)))).std() for values in (few, many)]
    plain = np.log(few.mean(0)).std()
    assert spread[0] < 0.35 * plain
    assert spread[1] < 0.1


def test_the_typical_of_the_worst_counts_most():
    errors = np.arange(100.0)
    weights = representation_weights([99, 98, 97, 50], errors)
    assert weights.sum() == pytest.approx(1)
    assert weights[3] == max(weights)
    assert representation_weights([10, 90], errors)[0] == pytest.approx(0.5, abs=0.02)


def test_checks_are_drawn_where_nothing_was_corrected():
    errors = np.arange(60.0)
    errors[7] = np.nan
    chosen = choose_checks(errors, np.arange(40, 60))
    assert len(set(chosen)) == 3
    assert max(chosen) < 40
    assert 7 not in chosen
    assert chosen == choose_checks(errors, np.arange(40, 60))


def test_checks_of_a_cohort_that_is_done():
    assert choose_checks(np.arange(5.0), np.arange(5)) == []
    assert choose_checks([], []) == []
