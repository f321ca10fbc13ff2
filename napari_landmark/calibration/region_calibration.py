"""Conformal calibration of the 90% regions of predictions by corrected images.

The score of a correction is its distance from the prediction, in units of the border of the stated region. Split
conformal prediction (Vovk et al. 2005; Lei et al., JASA 2018) scales regions by the quantile of the scores: whatever
the true distribution is, they then hold the wanted share of new landmarks, if those are like the corrected ones. Two
things are added. Some landmarks are placed by another rule than in the template, so each has a factor of its own,
shrunk to that of all by how far a mean of so few corrections can be trusted (empirical Bayes). And a person who
corrects the worst image first does not correct typical ones: images are weighted by how many of the cohort they stand
for (covariate shift, Tibshirani et al., NeurIPS 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST_IMAGES = 5
"""Corrected images from which on regions are calibrated."""
_EQUAL_SHARE = 0.5  # least part of the weights that all images share alike
_SMALLEST_MEAN = 1e-6
_LEAST_FREEDOM = 0.3  # against division by nearly nothing where one image has nearly all weight


@dataclass(frozen=True, eq=False)
class RegionCalibration:
    """Factors that regions are scaled by.

    Parameters
    ----------
    factors : (n,) array
        Of each landmark, on the standard deviations that are stated.
    error_factors : (n,) array
        Of each landmark, on the mean errors that are stated.
    n_images, n_landmarks : int
        Corrected images and landmarks that tell them.
    held : float
        Share of the corrected landmarks that the regions as stated had held.
    """

    factors: NDArray[np.float64]
    error_factors: NDArray[np.float64]
    n_images: int
    n_landmarks: int
    held: float


def calibrate_regions(
    scores: ArrayLike,
    error_ratios: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    probability: float = 0.9,
) -> RegionCalibration | None:
    """Fit the factors of regions to corrected images; None for fewer than `FEWEST_IMAGES` of them.

    Parameters
    ----------
    scores : (n_images, n) array
        Distance of each correction from the prediction relative to the border of its region in that direction; NaN
        where a landmark was not corrected.
    error_ratios : (n_images, n) array
        Distance of each correction relative to the expected error; NaN as above.
    weights : (n_images,) array, optional
        Of the images, see `representation_weights`; equal by default.
    probability : float, optional
        Share of the true positions that regions shall hold.
    """
    all_scores, all_ratios = np.asarray(scores, dtype=float), np.asarray(error_ratios, dtype=float)
    all_shares = np.ones(len(all_scores)) if weights is None else np.asarray(weights, dtype=float)
    used = np.isfinite(all_scores).any(1)
    own, ratios, shares = all_scores[used], all_ratios[used], all_shares[used]
    count = len(own)
    if count < FEWEST_IMAGES:
        return None
    relative = np.empty_like(own)
    for row in range(count):  # each image by the factors that the others tell
        others = np.arange(count) != row
        relative[row] = own[row] / landmark_means(own[others], shares[others])
    known = np.isfinite(relative)
    level = probability + (1 - probability) / (count + 1)  # landmarks of one image are not independent
    scale = _weighted_quantile(relative[known], np.broadcast_to(shares[:, None], known.shape)[known], level)
    return RegionCalibration(
        landmark_means(own, shares) * scale,
        landmark_means(ratios, shares),
        count,
        int(known.sum()),
        float(np.mean(own[np.isfinite(own)] <= 1)),
    )


def representation_weights(corrected: ArrayLike, all_errors: ArrayLike) -> NDArray[np.float64]:
    """Weights (n_corrected,) of corrected images by how many of a cohort each of them is nearest to.

    Nearness is by rank of the stated error: where the worst images were corrected alone, the best of them stands for
    the rest. Half of the weight is shared equally, and more where so few images represent all others that chance
    would decide.

    Parameters
    ----------
    corrected : (n_corrected,) array of int
        Rows of the corrected images.
    all_errors : (n,) array
        Mean stated error of every image of the cohort; NaN where there is none.
    """
    errors, rows = np.asarray(all_errors, dtype=float), np.asarray(corrected, dtype=int)
    ranks = np.argsort(np.argsort(errors))
    counted = ranks[np.isfinite(errors)]
    nearest = np.abs(counted[:, None] - ranks[rows][None]).argmin(1)
    shares = np.bincount(nearest, minlength=len(rows)).astype(float)
    shares /= max(1.0, shares.sum())
    effective = 1 / max(float(np.square(shares).sum()), 1e-9)  # number of images that the shares amount to
    represented = min(1 - _EQUAL_SHARE, effective / len(rows))
    return (1 - represented) / len(rows) + represented * shares


def choose_checks(all_errors: ArrayLike, corrected: ArrayLike, *, count: int = 3, seed: int = 0) -> list[int]:
    """Rows of images to correct at random, so that the calibration knows typical ones.

    One is drawn from each of as many parts of the cohort, ordered by stated error, in which fewest were corrected.

    Parameters
    ----------
    all_errors : (n,) array
        Mean stated error of every image; NaN where nothing is predicted, and such an image is not drawn.
    corrected : (n_corrected,) array of int
        Rows of the corrected images.
    """
    errors, done = np.asarray(all_errors, dtype=float), set(np.asarray(corrected, dtype=int).tolist())
    order = [row for row in np.argsort(errors).tolist() if np.isfinite(errors[row])]
    parts = [part.tolist() for part in np.array_split(order, max(1, min(len(order), 2 * count)))]
    parts.sort(key=lambda part: sum(row in done for row in part))
    generator = np.random.default_rng(seed)
    chosen: list[int] = []
    for part in parts:
        left = [row for row in part if row not in done]
        if left and len(chosen) < count:
            chosen.append(int(generator.choice(left)))
    return chosen


def landmark_means(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted mean (n,) of each landmark over images (n_images, n), shrunk to the geometric mean of all.

    The shrinkage is that of empirical Bayes in logarithms: the variance between landmarks, less what chance alone would
    make of it, over the whole variance. A landmark without any value gets the mean of all.
    """
    known = np.isfinite(values)
    shares = np.where(known, weights[:, None], 0.0)
    totals = shares.sum(0)
    some = totals > 0
    if not some.any():
        return np.ones(values.shape[1])
    shares[:, some] /= totals[some]
    means = np.where(some, (shares * np.where(known, values, 0.0)).sum(0), np.nan).clip(min=_SMALLEST_MEAN)
    effective = np.full(len(means), np.nan)
    effective[some] = 1 / np.square(shares[:, some]).sum(0)
    deviations = np.where(known, values / means - 1, 0.0)
    variances = (shares * deviations**2).sum(0)[some] / (1 - 1 / effective[some]).clip(min=_LEAST_FREEDOM)
    logs = np.log(means[some])
    chance = float(variances.mean()) / effective[some]
    between = max(0.0, float(logs.var(ddof=1) - chance.mean())) if some.sum() > 1 else 0.0
    share = between / (between + chance + 1e-12)
    found = np.full(values.shape[1], np.exp(logs.mean()))
    found[some] = np.exp(logs.mean() + share * (logs - logs.mean()))
    return found


def _weighted_quantile(values: NDArray[np.float64], weights: NDArray[np.float64], level: float) -> float:
    """Smallest of the values up to which that share of the weights is."""
    order = np.argsort(values)
    shares = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(shares, level - 1e-12)), len(values) - 1)])
