"""Covariances of the errors of landmarks: mean radial error, directions, ellipses.

A normal distribution of the error with d axes has its mean radial error, directions in which it is most and least
certain, and regions that hold a share of it: ellipses, of volumes ellipsoids.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import elliprg, gammainc, gammaincinv

_MEAN_CHI = 2 * math.sqrt(2 / math.pi)  # mean length of a standard normal vector with three axes
_SMALLEST_SHARE = 1e-12  # of the largest variance: rounding may leave a smaller one below zero

_N_DIRECTIONS = 400


def mean_radial_error(covariances: ArrayLike) -> NDArray[np.float64]:
    """Mean distance from zero of normal distributions with mean zero.

    With three axes the mean length is that of a standard normal vector times the mean, over all directions, of the
    standard deviation: Carlson's symmetric elliptic integral R_G of the variances. Two axes are three of which one has
    no variance.

    Parameters
    ----------
    covariances : (..., d, d) array
        d is 2 or 3; in squared units of the result. NaN where unknown.

    Returns
    -------
    (...) array
    """
    variances = _variances(np.asarray(covariances, dtype=float))
    if variances.shape[-1] == 2:
        variances = np.concatenate([np.zeros_like(variances[..., :1]), variances], axis=-1)
    return np.asarray(_MEAN_CHI * elliprg(variances[..., 0], variances[..., 1], variances[..., 2]))


def with_mean_radial_error(covariances: ArrayLike, errors: ArrayLike) -> NDArray[np.float64]:
    """Covariances (..., d, d) of the same shapes, scaled to mean radial errors (...); NaN where either is unknown.

    A covariance without any extent becomes one that is alike in all directions.
    """
    given, wanted = np.asarray(covariances, dtype=float), np.asarray(errors, dtype=float)
    own = mean_radial_error(given)
    flat = own <= 0
    if flat.any():
        given = np.where(flat[..., None, None], np.eye(given.shape[-1]), given)
        own = np.where(flat, mean_radial_error(np.eye(given.shape[-1])), own)
    return np.asarray(given * (wanted / own)[..., None, None] ** 2)


def isotropic(errors: ArrayLike, ndim: int) -> NDArray[np.float64]:
    """Covariances (..., d, d) of errors that are alike in all directions, with mean radial errors (...)."""
    errors = np.asarray(errors, dtype=float)
    return with_mean_radial_error(np.broadcast_to(np.eye(ndim), (*errors.shape, ndim, ndim)), errors)


def principal_axes(covariances: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standard deviations (..., d) along the principal axes, smallest first, and the axes (..., d, d) as columns.

    NaN where a covariance is unknown.
    """
    given = np.asarray(covariances, dtype=float)
    unknown = np.asarray(~np.isfinite(given).all((-1, -2)))
    variances, axes = np.linalg.eigh(np.where(unknown[..., None, None], np.eye(given.shape[-1]), given))
    deviations = np.sqrt(variances.clip(min=0))
    return (
        np.where(unknown[..., None], np.nan, deviations),
        np.where(unknown[..., None, None], np.nan, axes),
    )


def region_radius(probability: float, ndim: int) -> float:
    """Standard deviations to the border of the region of a normal distribution that holds that probability."""
    return math.sqrt(
        2 * float(gammaincinv(ndim / 2, probability))
    )  # quantile of the chi-squared distribution


def radial_bound(covariance: ArrayLike, probability: float) -> float:
    """Distance from zero that a normal distribution with mean zero exceeds with the remaining probability.

    The radius of a disc or ball, where `region_radius` is about the ellipse. Along a direction u of the whitened
    distribution the length of an error is that of a standard normal vector times the root of u' C u, so the
    probability is a mean over directions.

    Parameters
    ----------
    covariance : (d, d) array
        d is 2 or 3; finite, in squared units of the result.
    probability : float
        Between 0 and 1.
    """
    variances = _variances(np.asarray(covariance, dtype=float))
    ndim = len(variances)
    spreads: NDArray[np.float64] = np.square(_directions(ndim)) @ variances
    spreads = spreads[spreads > 0]
    if not len(spreads):
        return 0.0
    largest = region_radius(probability, ndim) * math.sqrt(variances.max())
    found = brentq(
        lambda radius: float(gammainc(ndim / 2, radius**2 / (2 * spreads)).mean()) - probability,
        0.0,
        1.001 * largest,
    )
    return float(found)


def _directions(ndim: int) -> NDArray[np.float64]:
    """(m, ndim) unit vectors spread evenly; in space by the golden angle."""
    steps = np.arange(_N_DIRECTIONS) + 0.5
    if ndim == 2:
        angles = np.pi * steps / _N_DIRECTIONS
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    heights, turns = 1 - 2 * steps / _N_DIRECTIONS, np.pi * (1 + math.sqrt(5)) * steps
    widths = np.sqrt(1 - heights**2)
    return np.stack([widths * np.cos(turns), widths * np.sin(turns), heights], axis=1)


def _variances(covariances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variances (..., d) along the principal axes, ascending; NaN where unknown."""
    unknown = np.asarray(~np.isfinite(covariances).all((-1, -2)))
    values = np.linalg.eigvalsh(np.where(unknown[..., None, None], 0.0, covariances))
    values = np.maximum(values, _SMALLEST_SHARE * values[..., -1:].clip(min=0))
    return np.where(unknown[..., None], np.nan, values)
