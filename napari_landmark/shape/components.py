"""Principal components of shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_landmark.shape.procrustes import Array, Superimposition


@dataclass(frozen=True, eq=False)
class ShapeComponents:
    """Principal components of the tangent coordinates of a superimposition.

    Parameters
    ----------
    mean : (k, d) array
        Mean of the tangent coordinates.
    directions : (c, k, d) array
        Components of unit length, the largest variance first. Of the two signs, that with which the coordinate of the
        largest absolute value is positive.
    variances : (c,) array
        Variances of the scores (divided by n - 1).
    scores : (n, c) array
    """

    mean: Array
    directions: Array
    variances: Array
    scores: Array

    @property
    def shares(self) -> Array:
        """(c,) shares of the variance, 0..1."""
        total = self.variances.sum()
        return self.variances / total if total > 0 else np.zeros_like(self.variances)

    def shape_at(self, component: int, deviations: float) -> Array:
        """(k, d) shape at a number of standard deviations along one component."""
        step = deviations * np.sqrt(self.variances[component])
        return self.mean + step * self.directions[component]


def principal_components(superimposition: Superimposition) -> ShapeComponents:
    """Principal components of the shapes, as many as have a variance.

    Rotation, position and size have none: at most n - 1 components, and at most k d less 4 (2-D) or 7 (3-D).
    """
    coordinates = superimposition.tangent_coordinates
    count, landmarks, axes = coordinates.shape
    mean = coordinates.mean(axis=0)
    _, singular, vt = np.linalg.svd((coordinates - mean).reshape(count, -1), full_matrices=False)
    free = landmarks * axes - {2: 4, 3: 7}[axes]
    kept = max(1, min(count - 1, free, int((singular > 1e-12).sum())))
    directions = vt[:kept]
    largest = np.abs(directions).argmax(axis=1)
    directions = directions * np.sign(directions[np.arange(kept), largest])[:, None]
    scores = (coordinates - mean).reshape(count, -1) @ directions.T
    variances = singular[:kept] ** 2 / (count - 1)
    return ShapeComponents(mean, directions.reshape(kept, landmarks, axes), variances, scores)
