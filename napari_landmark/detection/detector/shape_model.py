"""Shape model of the landmarks, fitted to matched positions, for finding outliers among them.

A Gaussian model of all landmarks after removal of pose. It predicts each landmark from the others; a position far from
its prediction is a gross error (similar structures swapped, a match on burnt-in text). Shape alone cannot refine (it
predicts no better than a careful match), so it only detects and replaces outliers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_RIDGE = 0.05  # share of the mean variance added to every direction: with few images, directions are unseen
# Median length of a vector of independent normal values with standard deviation 1, by number of axes. That of three
# (1.538) is divided by 4.31 / 4: so rare as a length above 4 is with two axes, one above 4.31 is with three.
_MEDIAN_LENGTH = {2: 1.177, 3: 1.427}
_OUTLIER = 4.0  # robust standard deviations
_ALIGNMENTS = 2  # of shapes that are compared, each to the mean of the one before


@dataclass(frozen=True)
class ShapeModel:
    """Gaussian model of pose-free shapes.

    Parameters
    ----------
    mean : (n, d)
        Mean shape on the working grid.
    precision : (n * d, n * d)
        Inverse covariance.
    scale : (n,)
        Robust standard deviation of each landmark from its prediction along an axis, in working-grid pixels; 1.08
        times that in 3-D, so that a deviation in this unit is as rare as in 2-D.
    """

    mean: np.ndarray
    precision: np.ndarray
    scale: np.ndarray

    def predict(self, positions: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Predict each landmark of shapes (batch, n, d) from the others: (batch, n, d)."""
        weights = np.ones(positions.shape[:2]) if weights is None else weights
        rotation, shift = align(self.mean, positions, weights)
        pose_free = np.einsum("bij,bnj->bni", np.linalg.inv(rotation), positions - shift[:, None])
        predicted = _from_others(self, pose_free)
        return np.einsum("bij,bnj->bni", rotation, predicted) + shift[:, None]

    def judge(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Deviations (batch, n) and predictions (batch, n, d) without the influence of outliers.

        The landmark with the largest deviation of each shape is replaced by its prediction, repeatedly while it is an
        outlier, so that its neighbours are predicted without it.
        """
        clean, inlier_weights = positions.copy(), np.ones(positions.shape[:2])
        rows = np.arange(len(positions))
        for _ in range(max(1, positions.shape[1] // 3)):
            predicted = self.predict(clean, inlier_weights)
            distance = np.linalg.norm(predicted - clean, axis=-1) / self.scale
            worst = distance.argmax(1)
            bad = distance[rows, worst] > _OUTLIER
            if not bad.any():
                break
            inlier_weights[rows[bad], worst[bad]] = 0.05
            # All outliers anew: the first ones were predicted in a pose that the later ones had distorted.
            clean = np.where(inlier_weights[..., None] < 1, predicted, positions)
        predicted = self.predict(clean, inlier_weights)
        return np.linalg.norm(predicted - positions, axis=-1) / self.scale, predicted


def fit_shape_model(positions: np.ndarray, weights: np.ndarray, *, rounds: int = 4) -> ShapeModel | None:
    """Fit a model to shapes (batch, n, d) with outliers; `weights` (batch, n) of the positions are 0..1.

    Returns None for fewer than 8 shapes or 4 landmarks.
    """
    count, landmarks = positions.shape[:2]
    if count < 8 or landmarks < 4:
        return None
    current = np.clip(weights, 0.02, 1)
    start = np.median(positions, axis=0)
    model: ShapeModel | None = None
    for _ in range(rounds):
        reference = start if model is None else model.mean
        rotation, shift = align(reference, positions, current)
        shapes = np.einsum("bij,bnj->bni", np.linalg.inv(rotation), positions - shift[:, None])
        if model is not None:  # outliers are replaced by predictions, and so do not widen the model
            doubtful = current < 0.3
            shapes = np.where(doubtful[..., None], _from_others(model, shapes), shapes)
        image_weights = current.mean(1)
        mean = np.average(shapes, axis=0, weights=image_weights)
        centred = (shapes - mean).reshape(count, -1)
        covariance = (centred * image_weights[:, None]).T @ centred / image_weights.sum()
        ridge = _RIDGE * np.trace(covariance) / len(covariance) + 1e-6
        precision = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
        model = ShapeModel(mean, precision, np.ones(landmarks))
        distance = np.linalg.norm(_from_others(model, shapes) - shapes, axis=-1)
        scale = np.maximum(np.median(distance, axis=0) / _MEDIAN_LENGTH[positions.shape[2]], 0.5)
        model = ShapeModel(mean, precision, scale)
        deviation, _ = model.judge(positions)
        current = np.clip(weights, 0.02, 1) * np.exp(-0.5 * (deviation / _OUTLIER) ** 4)
        current = np.maximum(current, 0.01)  # else a single landmark may be left to set the size of a shape
    return model


def align(reference: np.ndarray, positions: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Similarity transforms from `reference` (n, d) to shapes (batch, n, d): matrices and shifts.

    Weighted orthogonal Procrustes (Umeyama, IEEE PAMI 1991): position = matrix @ reference + shift.
    """
    weights = weights / weights.sum(1, keepdims=True)
    centre = np.einsum("bn,bnd->bd", weights, positions)
    origin = weights @ reference
    moved, fixed = positions - centre[:, None], reference[None] - origin[:, None]
    covariance = np.einsum("bn,bni,bnj->bij", weights, moved, fixed)
    u, singular, vt = np.linalg.svd(covariance)
    sign = np.ones_like(singular)
    sign[:, -1] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    size = np.einsum("bn,bnd->b", weights, fixed**2)
    # A shape collapsed into one point has a pose, too: avoid a division by its size.
    scale = np.clip((singular * sign).sum(1) / np.maximum(size, 1e-12), 0.1, 10)
    matrix = scale[:, None, None] * (u * sign[:, None]) @ vt
    return matrix, centre - np.einsum("bij,bj->bi", matrix, origin)


def shape_distances(positions: np.ndarray) -> np.ndarray:
    """Root mean square distances (m, m) of the landmarks of shapes (m, n, d) after removal of pose.

    NaN in `positions` is an unknown landmark; shapes without a landmark in common have the largest distance of all.
    """
    known = ~np.isnan(positions[..., 0])
    filled = np.nan_to_num(positions)
    reference = _mean_shape(filled, known)
    shapes = filled
    for _ in range(_ALIGNMENTS):
        matrices, shifts = align(reference, filled, known.astype(float))
        shapes = np.einsum("bij,bnj->bni", np.linalg.inv(matrices), filled - shifts[:, None])
        reference = _mean_shape(shapes, known)
    squared = np.full((len(shapes), len(shapes)), np.nan)
    for number, shape in enumerate(shapes):
        common = known & known[number]
        count = common.sum(1)
        total = (np.square(shapes - shape).sum(-1) * common).sum(1)
        np.divide(total, count, out=squared[number], where=count > 0)
    return np.sqrt(np.where(np.isnan(squared), np.nanmax(squared), squared))


def _mean_shape(shapes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean shape (n, d) of the known landmarks; zeros for those that no shape has."""
    total = (shapes * known[..., None]).sum(0)
    return np.asarray(total / np.maximum(known.sum(0), 1)[:, None])


def _from_others(model: ShapeModel, shapes: np.ndarray) -> np.ndarray:
    # Conditional mean of one block of a Gaussian given the rest, read off the precision matrix P:
    # x_a - E[x_a | others] = inverse(P_aa) (P (x - mean))_a
    landmarks, dims = model.mean.shape
    centred = shapes - model.mean
    pull = (centred.reshape(len(shapes), -1) @ model.precision).reshape(centred.shape)
    blocks = model.precision.reshape(landmarks, dims, landmarks, dims)
    own = np.stack([blocks[i, :, i, :] for i in range(landmarks)])
    residual = np.einsum("nij,bnj->bni", np.linalg.inv(own), pull)
    return shapes - residual
