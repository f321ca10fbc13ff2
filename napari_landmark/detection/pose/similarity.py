"""Similarity transform between the template's landmarks and found ones, robust against wrong positions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.errors import InputError

_ROUNDS = 10
_FEWEST = 3  # landmarks


def fit_similarity(
    template: NDArray[np.float64],
    found: NDArray[np.float64],
    canvas: tuple[int, ...],
    weights: NDArray[np.float64] | None = None,
) -> Pose | None:
    """Pose, without reflection, that maps the template's landmarks to found positions on one working grid.

    Least squares (Umeyama 1991), reweighted so that wrong positions lose their influence.

    Parameters
    ----------
    template, found : (n, d) arrays
        NaN where unknown.
    canvas : tuple of int
        Shape of the working grid of both.
    weights : (n,) array, optional
        Of the positions to begin with.

    Returns
    -------
    Pose or None
        None where fewer than three landmarks are known, or nothing fits.
    """
    known = ~np.isnan(template + found).any(1)
    if known.sum() < _FEWEST:
        return None
    centre = (np.asarray(canvas) - 1) / 2
    source, target = template[known] - centre, found[known] - centre
    first = np.ones(len(source)) if weights is None else np.maximum(weights[known], 1e-9)
    current = first
    scale, rotation, shift = 1.0, np.eye(len(canvas)), np.zeros(len(canvas))
    for _ in range(_ROUNDS):
        scale, rotation, shift = _umeyama(source, target, current / current.sum())
        residual = np.linalg.norm(scale * source @ rotation.T + shift - target, axis=1)
        typical = max(float(np.median(residual)), 1.0)
        current = first / (1 + (residual / typical) ** 2)
    try:
        return Pose(scale * rotation, shift / max(canvas))
    except InputError:  # everything at one position
        return None


def _umeyama(
    source: NDArray[np.float64], target: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Scale, rotation (d, d) and shift (d,) of the weighted least-squares similarity without reflection."""
    middles = weights @ source, weights @ target
    a, b = source - middles[0], target - middles[1]
    u, singular, vt = np.linalg.svd((weights[:, None] * b).T @ a)
    signs = np.ones(source.shape[1])
    signs[-1] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = u @ np.diag(signs) @ vt
    spread = float((weights[:, None] * a**2).sum())
    scale = float((singular * signs).sum() / spread) if spread > 0 else 0.0
    return scale, rotation, middles[1] - scale * rotation @ middles[0]
