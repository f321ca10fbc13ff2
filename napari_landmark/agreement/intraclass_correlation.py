"""Intraclass correlation of two or more readers (Shrout and Fleiss 1979, Psychol Bull 86; McGraw and Wong 1996)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import f as f_distribution

FEWEST_SUBJECTS = 3
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class IntraclassCorrelation:
    """One coefficient with its 95% confidence limits.

    Parameters
    ----------
    value : float
        Share of the variance that is between the images; it can be negative.
    lower, upper : float
        Confidence limits.
    """

    value: float
    lower: float
    upper: float


def icc_agreement(values: ArrayLike) -> IntraclassCorrelation | None:
    """ICC(2,1): absolute agreement of single readings, readers drawn at random (two-way random effects).

    Parameters
    ----------
    values : (n, r) array_like
        Readings of r readers in n images, without NaN.

    Returns
    -------
    IntraclassCorrelation or None
        None for fewer than three images or two readers, or where nothing varies.
    """
    squares = _mean_squares(values)
    if squares is None:
        return None
    n, r, between, readers, error = squares
    total = between + (r - 1) * error + r * (readers - error) / n
    if not total > 0:
        return None
    value = (between - error) / total
    if error <= 0:
        limits = (value, value) if readers <= 0 else (math.nan, math.nan)
        return IntraclassCorrelation(value, *limits)
    ratio = readers / error
    weight = n * (1 + (r - 1) * value) - r * value
    freedom = (r - 1) * (n - 1) * (r * value * ratio + weight) ** 2
    freedom /= (n - 1) * r**2 * value**2 * ratio**2 + weight**2
    tail = (1 + _CONFIDENCE) / 2
    low, high = f_distribution.ppf(tail, n - 1, freedom), f_distribution.ppf(tail, freedom, n - 1)
    rest = r * readers + (r * n - r - n) * error
    lower = n * (between - low * error) / (low * rest + n * between)
    upper = n * (high * between - error) / (rest + n * high * between)
    return IntraclassCorrelation(value, float(lower), float(upper))


def icc_consistency(values: ArrayLike) -> IntraclassCorrelation | None:
    """ICC(3,1): consistency of single readings of these very readers, whose constant differences do not count.

    Parameters and result are those of `icc_agreement`.
    """
    squares = _mean_squares(values)
    if squares is None:
        return None
    n, r, between, _, error = squares
    if not between + (r - 1) * error > 0:
        return None
    value = (between - error) / (between + (r - 1) * error)
    if error <= 0:
        return IntraclassCorrelation(value, value, value)
    tail, ratio = (1 + _CONFIDENCE) / 2, between / error
    inner = (n - 1) * (r - 1)
    low = ratio / f_distribution.ppf(tail, n - 1, inner)
    high = ratio * f_distribution.ppf(tail, inner, n - 1)
    return IntraclassCorrelation(value, float((low - 1) / (low + r - 1)), float((high - 1) / (high + r - 1)))


def _mean_squares(values: ArrayLike) -> tuple[int, int, float, float, float] | None:
    """Images, readers, and the mean squares between images, between readers and of the error."""
    table = np.asarray(values, dtype=np.float64)
    n, r = table.shape
    if n < FEWEST_SUBJECTS or r < 2:
        return None
    table = table - table.mean()
    images, readers = table.mean(axis=1), table.mean(axis=0)
    error = table - images[:, None] - readers
    scale = max(float(np.abs(table).max()), 1e-300)
    between = float(r * (images**2).sum() / (n - 1))
    across = float(n * (readers**2).sum() / (r - 1))
    left = float((error**2).sum() / ((n - 1) * (r - 1)))
    # Rounding of equal readings is no disagreement.
    small = (1e-12 * scale) ** 2
    return n, r, between, across if across > small else 0.0, left if left > small else 0.0
