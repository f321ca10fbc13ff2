"""Systematic offsets of predictions, learned from corrections: persons mark a landmark elsewhere than the template.

From one template nobody can know where along a contour the others mark a landmark; a few corrections tell. The offset
of a landmark is the median of its corrections in the image's own pose, shrunk towards zero by how uncertain it is
(empirical Bayes: Efron and Morris, Journal of the American Statistical Association 70, 1975).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from napari_landmark.detection.detector.shape_model import align

_FEWEST = 2  # corrected images, with fewer a difference may be that of one image
_MEDIAN_VARIANCE = math.pi / 2  # of a median relative to a mean of normal values
_PRIOR_COUNT = 4.0  # corrections that the scatter of all landmarks counts for in that of each


@dataclass(frozen=True)
class CorrectionOffsets:
    """Offsets of corrections from predictions, in the pose of a reference shape.

    Parameters
    ----------
    reference : (n, d) float array
        Shape, in pixels of the grid of the corrections.
    offsets : (n, d) float array
        Shrunk median offset of each landmark in that pose; 0 where nothing is known.
    counts : (n,) int array
        Corrections of each landmark.
    between : float
        Variance (sum over axes) of the offsets of the landmarks, in squared pixels.
    scatter : (n,) float array or None
        Variance (sum over axes) of single corrections of each landmark around their mean; None with too few.
    medians : (n, d) float array or None
        The offsets before they are shrunk; 0 where nothing is known.
    standard_errors : (n,) float array or None
        Of the medians.
    """

    reference: np.ndarray
    offsets: np.ndarray
    counts: np.ndarray
    between: float = 0.0
    scatter: np.ndarray | None = None
    medians: np.ndarray | None = None
    standard_errors: np.ndarray | None = None

    def apply(self, positions: np.ndarray) -> np.ndarray:
        """Predictions (batch, n, d) with their offsets, in each image's own pose."""
        matrices, _ = _poses(self.reference, positions)
        return positions + np.einsum("bij,nj->bni", matrices, self.offsets)


def learn_offsets(
    reference: np.ndarray, predictions: np.ndarray, corrections: np.ndarray
) -> CorrectionOffsets:
    """Learn the offsets of landmarks from the predictions and corrections of the same images.

    Parameters
    ----------
    reference : (n, d) float array
        Shape of the template; NaN for landmarks that it lacks.
    predictions, corrections : (k, n, d) float arrays
        On one grid; NaN where unknown. Predictions of a model that has not learned these corrections. Accepted
        predictions are corrections by nothing.
    """
    count = np.isfinite(predictions - corrections).all(-1).sum(0)
    zeros = np.zeros(reference.shape)
    unknown = CorrectionOffsets(reference, zeros, count)
    if not (count >= _FEWEST).any():
        return unknown
    matrices, usable = _poses(reference, predictions)
    moved = np.einsum("bij,bnj->bni", np.linalg.inv(matrices), corrections - predictions)
    moved[~usable] = np.nan
    count = np.isfinite(moved).all(-1).sum(0)
    known = count >= _FEWEST
    if not known.any():
        return unknown
    median, variance = zeros.copy(), np.zeros(len(reference))
    for landmark in np.flatnonzero(known):
        values = moved[np.isfinite(moved[:, landmark]).all(-1), landmark]
        # Two values have no median that is more robust than their mean.
        median[landmark] = np.median(values, axis=0)
        variance[landmark] = np.square(values - values.mean(0)).sum(-1).sum() / (len(values) - 1)
    usual = np.median(variance[known])
    free = np.maximum(count - 1, 0)
    variance = (free * variance + _PRIOR_COUNT * usual) / (free + _PRIOR_COUNT)
    of_median = np.where(count > 2, _MEDIAN_VARIANCE, 1.0) * variance / np.maximum(count, 1)
    between = max(0.0, float(np.square(median[known]).sum(-1).mean() - of_median[known].mean()))
    share = np.where(known, between / np.maximum(between + of_median, 1e-12), 0.0)
    return CorrectionOffsets(
        reference, share[:, None] * median, count, between, variance, median, np.sqrt(of_median)
    )


def _poses(reference: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrices (batch, d, d) from the reference to shapes, and which of them have the landmarks for it."""
    known = np.isfinite(positions).all(-1) & np.isfinite(reference).all(-1)
    usable = known.sum(1) > reference.shape[1]
    weights = np.where(usable[:, None], known, 1.0).astype(float)
    filled = np.where(known[..., None], positions, np.nan_to_num(reference))
    matrices, _ = align(np.nan_to_num(reference), filled, weights)
    return matrices, usable
