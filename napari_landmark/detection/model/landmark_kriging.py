"""Regularity over neighbouring landmarks: predictions as a deformation of the template that varies with distance.

Where a structure is alike at many places, as along the contour of a lung, a position found on its own slides. What is
deformed there is deformed alike nearby: an affine map and a random field around it tell what is likely, and the
stated covariance of each position how far it is to be believed in each direction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Standard deviation of the field and distance over which it falls to 1/e, in mean distances of the landmarks from their
# middle. An exponential kernel is rough, as shapes are between individuals: structures some way apart vary on their
# own. Chosen on cephalograms and chests, where the error hardly changes around these values.
_AMPLITUDE, _RANGE = 0.15, 1.0


def krige(
    template: NDArray[np.float64], found: NDArray[np.float64], covariances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Most likely positions under a deformation of the template (universal kriging; Cressie 1993).

    Parameters
    ----------
    template, found : (n, d) arrays
        In any two systems of coordinates that an affine map connects; NaN where unknown.
    covariances : (n, d, d) array
        Of the errors of the found positions, in their system; NaN where unknown.

    Returns
    -------
    (n, d) array
        In the system of the found positions. Those of which anything is unknown are left as they are, and so are all
        where an affine map could fit any positions.
    """
    count, ndim = found.shape
    known = np.isfinite(np.concatenate([template, found, covariances.reshape(count, ndim**2)], axis=1)).all(1)
    if known.sum() <= ndim + 1:
        return found
    points, positions = template[known] - template[known].mean(0), found[known]
    size = np.linalg.norm(positions - positions.mean(0), axis=1).mean()
    radius = np.linalg.norm(points, axis=1).mean()
    if not (size > 0 and radius > 0):
        return found
    points = points / radius
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    field = np.kron((_AMPLITUDE * size) ** 2 * np.exp(-apart / _RANGE), np.eye(ndim))
    noise = np.zeros_like(field)
    for number, covariance in enumerate(covariances[known]):
        rows = slice(number * ndim, (number + 1) * ndim)
        noise[rows, rows] = covariance
    affine = np.kron(np.concatenate([points, np.ones((len(points), 1))], axis=1), np.eye(ndim))
    values = positions.ravel()
    root = np.linalg.cholesky(field + noise)
    coefficients, *_ = np.linalg.lstsq(
        np.linalg.solve(root, affine), np.linalg.solve(root, values), rcond=None
    )
    trend = affine @ coefficients
    kriged = found.copy()
    kriged[known] = (trend + field @ np.linalg.solve(field + noise, values - trend)).reshape(-1, ndim)
    return kriged
