"""Which shapes are plausible, learned from found positions themselves.

A Gaussian model of all landmarks after removal of pose. Given all other landmarks it predicts each one; what lies far
from its prediction is a gross error (similar places swapped, a match on a burnt-in mark). Shape alone cannot refine
(it predicts no better than a careful match), so it only judges and replaces the outliers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_RIDGE = 0.05  # share of the mean variance added to every direction: with few images, directions are unseen
_OUTLIER = 4.0  # robust standard deviations
# Of the size of the mean shape. Found shapes agree with each other far better than with anatomy, so deviations that
# are large beside their own scatter are still right more often than not; only gross ones are worth replacing.
_SMALLEST_SCALE = 0.02


@dataclass(frozen=True)
class ShapeModel:
    """Gaussian model of pose-free shapes.

    Parameters
    ----------
    mean : (n, d)
        Mean shape on the canvas.
    precision : (n * d, n * d)
        Inverse covariance.
    scale : (n,)
        Robust standard deviation of each landmark's distance from its prediction, in canvas pixels.
    """

    mean: np.ndarray
    precision: np.ndarray
    scale: np.ndarray

    def predict(self, positions: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Each landmark of shapes (batch, n, d) as the others say it: (batch, n, d)."""
        weights = np.ones(positions.shape[:2]) if weights is None else weights
        rotation, shift = align(self.mean, positions, weights)
        pose_free = np.einsum("bij,bnj->bni", np.linalg.inv(rotation), positions - shift[:, None])
        predicted = _from_others(self, pose_free)
        return np.einsum("bij,bnj->bni", rotation, predicted) + shift[:, None]

    def surprise(self, positions: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """(batch, n) distance of each landmark from its prediction in robust standard deviations."""
        distance = np.linalg.norm(self.predict(positions, weights) - positions, axis=-1)
        return distance / self.scale

    def judge(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Surprise (batch, n) and predictions (batch, n, d) in which no outlier speaks for another.

        The most surprising landmark of each shape is replaced by its prediction, again and again while it is an
        outlier, so that its neighbours are judged without it.
        """
        clean, trusted = positions.copy(), np.ones(positions.shape[:2])
        rows = np.arange(len(positions))
        for _ in range(max(1, positions.shape[1] // 3)):
            predicted = self.predict(clean, trusted)
            distance = np.linalg.norm(predicted - clean, axis=-1) / self.scale
            worst = distance.argmax(1)
            bad = distance[rows, worst] > _OUTLIER
            if not bad.any():
                break
            trusted[rows[bad], worst[bad]] = 0.05
            # All outliers anew: the first ones were predicted in a pose that the later ones had bent.
            clean = np.where(trusted[..., None] < 1, predicted, positions)
        predicted = self.predict(clean, trusted)
        return np.linalg.norm(predicted - positions, axis=-1) / self.scale, predicted


def fit_shape_model(positions: np.ndarray, weights: np.ndarray, *, rounds: int = 4) -> ShapeModel | None:
    """Model of shapes (batch, n, d) that may hold outliers; `weights` (batch, n) is the trust in each place.

    Returns None where there is too little to learn from (fewer than 8 shapes or 4 landmarks).
    """
    count, landmarks = positions.shape[:2]
    if count < 8 or landmarks < 4:
        return None
    trust = np.clip(weights, 0.02, 1)
    start = np.median(positions, axis=0)
    model: ShapeModel | None = None
    for _ in range(rounds):
        reference = start if model is None else model.mean
        rotation, shift = align(reference, positions, trust)
        shapes = np.einsum("bij,bnj->bni", np.linalg.inv(rotation), positions - shift[:, None])
        if model is not None:  # outliers enter as what the others say, and so do not widen the model
            doubtful = trust < 0.3
            shapes = np.where(doubtful[..., None], _from_others(model, shapes), shapes)
        image_weights = trust.mean(1)
        mean = np.average(shapes, axis=0, weights=image_weights)
        centred = (shapes - mean).reshape(count, -1)
        covariance = (centred * image_weights[:, None]).T @ centred / image_weights.sum()
        ridge = _RIDGE * np.trace(covariance) / len(covariance) + 1e-6
        precision = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
        model = ShapeModel(mean, precision, np.ones(landmarks))
        distance = np.linalg.norm(_from_others(model, shapes) - shapes, axis=-1)
        scale = np.maximum(
            np.median(distance, axis=0) / 1.177, 0.5
        )  # 1.177: median of a 2-D Rayleigh distribution
        model = ShapeModel(mean, precision, scale)
        surprise, _ = model.judge(positions)
        trust = np.clip(weights, 0.02, 1) * np.exp(-0.5 * (surprise / _OUTLIER) ** 4)
        trust = np.maximum(trust, 0.01)  # else a single landmark may be left to say how large a shape is
    return model


def align(reference: np.ndarray, positions: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Similarity transforms that carry `reference` (n, d) onto shapes (batch, n, d): matrices and shifts.

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
    # A shape that fell into one point has a pose, too: no division by its size may go astray.
    scale = np.clip((singular * sign).sum(1) / np.maximum(size, 1e-12), 0.1, 10)
    matrix = scale[:, None, None] * (u * sign[:, None]) @ vt
    return matrix, centre - np.einsum("bij,bj->bi", matrix, origin)


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
