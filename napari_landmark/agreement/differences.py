"""Differences of readings: Dahlberg's error, Bland and Altman's limits, 95% ellipse."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

_LIMITS = 1.96


@dataclass(frozen=True)
class BlandAltman:
    """Limits of agreement of two readers (Bland and Altman 1986, Lancet 327).

    Parameters
    ----------
    n : int
    bias : float
        Mean of second less first.
    bias_low, bias_high : float
        95% confidence limits of the bias; NaN for one image.
    sd : float
        Standard deviation of the differences; NaN for one image.
    """

    n: int
    bias: float
    bias_low: float
    bias_high: float
    sd: float

    @property
    def dahlberg(self) -> float:
        """Error of a single reading: sqrt(sum of d² / 2n)."""
        squares = self.n * self.bias**2 + (0.0 if self.n < 2 else (self.n - 1) * self.sd**2)
        return math.sqrt(squares / (2 * self.n))

    @property
    def lower(self) -> float:
        """Limit above which 97.5% of the differences are, if they are normal."""
        return self.bias - _LIMITS * self.sd

    @property
    def upper(self) -> float:
        """Limit below which 97.5% of the differences are, if they are normal."""
        return self.bias + _LIMITS * self.sd


@dataclass(frozen=True, eq=False)
class Ellipse:
    """Ellipse (ellipsoid) in which 95% of further differences are expected.

    The prediction region of a normal distribution whose mean and covariance were estimated from n differences.

    Parameters
    ----------
    centre : (d,) array
        Bias, in array axis order.
    half_axes : (d,) array
        Half lengths of the axes, the longest first.
    directions : (d, d) array
        Unit vectors of the axes in its rows.
    """

    centre: NDArray[np.float64]
    half_axes: NDArray[np.float64]
    directions: NDArray[np.float64]

    @property
    def measure(self) -> float:
        """Area, of an ellipsoid the volume."""
        factor = math.pi if len(self.half_axes) == 2 else 4 / 3 * math.pi
        return float(factor * np.prod(self.half_axes))

    @property
    def angle(self) -> float:
        """Direction of the longest axis of an ellipse in degrees, from x towards y as in the image, -90 to 90."""
        y, x = self.directions[0, -2:]
        return math.degrees(math.atan2(y, x) if x > 0 or (x == 0 and y > 0) else math.atan2(-y, -x))


def dahlberg_error(values: ArrayLike) -> float:
    """Error of a single reading, from readings of the same images.

    For two readers sqrt(sum of d² / 2n) (Dahlberg 1940); for more the root mean variance within an image about the mean
    of its readings, which is the same for two. A constant difference of the readers counts.

    Parameters
    ----------
    values : (n, r) or (n, r, d) array_like
        Readings; of positions the squared distances count.
    """
    table = np.asarray(values, dtype=np.float64)
    if len(table) == 0 or table.shape[1] < 2:
        return math.nan
    squares = (table - table.mean(axis=1, keepdims=True)) ** 2
    return math.sqrt(squares.sum() / (len(table) * (table.shape[1] - 1)))


def bland_altman(first: ArrayLike, second: ArrayLike) -> BlandAltman:
    """Bias and limits of agreement of second less first, both (n,) with n 1 or more."""
    differences = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    n, bias = len(differences), float(differences.mean())
    if n < 2:
        return BlandAltman(n, bias, math.nan, math.nan, math.nan)
    sd = float(differences.std(ddof=1))
    margin = float(t_distribution.ppf(0.975, n - 1)) * sd / math.sqrt(n)
    return BlandAltman(n, bias, bias - margin, bias + margin, sd)


def prediction_ellipse(differences: ArrayLike) -> Ellipse | None:
    """95% ellipse of (n, d) differences; None where fewer than d + 2 are there."""
    table = np.asarray(differences, dtype=np.float64)
    n, axes = table.shape
    if n < axes + 2:
        return None
    centre = table.mean(axis=0)
    variances, vectors = np.linalg.eigh(np.cov(table.T))
    factor = axes * (n - 1) * (n + 1) / (n * (n - axes)) * f_distribution.ppf(0.95, axes, n - axes)
    half = np.sqrt(np.maximum(variances[::-1], 0) * factor)
    return Ellipse(centre, half, vectors.T[::-1])
