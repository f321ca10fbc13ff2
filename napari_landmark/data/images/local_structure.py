"""Directions in which the pixels around landmarks tell their position best, from the structure tensor.

On a contour a position is certain across it and uncertain along it: readers who disagree do so along the contour by a
multiple of what they do across. The structure tensor (Förstner & Gülch, ISPRS 1987) is the mean of the products of the
gradient's components around a point. Its largest eigenvalue belongs to the direction in which the image changes most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSet

_SCALE = 1 / 250  # of the longest side: a millimetre of a skull
_REACH = 4.0  # scales from a landmark to the border of its patch
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class CertainDirections:
    """Most certain direction of each landmark of a template, to be carried into other images.

    Parameters
    ----------
    names : tuple of str
    positions : (n, d) array
        Of the landmarks in the template, in array axis order, times its spacing where that is known; NaN where absent.
    directions : (n, d) array
        Unit vectors in the same coordinates; NaN where absent or where the pixels do not change.
    coherence : (n,) array
        0..1: 0 where all directions are alike, such as at a small disc, 1 on a straight edge.
    """

    names: tuple[str, ...]
    positions: NDArray[np.float64]
    directions: NDArray[np.float64]
    coherence: NDArray[np.float64]

    def in_image(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Directions (n, d) in an image with these landmarks (n, d), rotated or reflected as they are.

        The rotation is the orthogonal matrix of the least squares between both sets of landmarks (orthogonal
        Procrustes). With fewer common landmarks than axes plus one the image is taken as upright.
        """
        both = np.isfinite(self.positions).all(1) & np.isfinite(positions).all(1)
        ndim = self.positions.shape[1]
        if both.sum() <= ndim:
            return self.directions
        own = self.positions[both] - self.positions[both].mean(0)
        other = positions[both] - positions[both].mean(0)
        left, _, right = np.linalg.svd(own.T @ other)
        return np.asarray(self.directions @ (left @ right))


def certain_directions(image: MedicalImage, landmarks: LandmarkSet) -> CertainDirections:
    """Most certain directions of the landmarks of an image.

    Parameters
    ----------
    image : MedicalImage
    landmarks : LandmarkSet
        In native index coordinates.

    Raises
    ------
    InputError
        The landmarks have another number of coordinates than the image has axes.
    """
    geometry = image.geometry
    positions = landmarks.positions(geometry.ndim)
    if positions.shape[1] != geometry.ndim:
        raise InputError(
            f"{image.name}: landmarks of {positions.shape[1]} coordinates for an image of {geometry.ndim} axes"
        )
    spacing = np.array(geometry.spacing or (1.0,) * geometry.ndim)
    scales = _SCALE * max(np.multiply(geometry.shape, spacing)) / spacing  # in pixels of each axis
    directions = np.full(positions.shape, np.nan)
    coherence = np.full(len(positions), np.nan)
    least = _ROUNDING * (1 + float(np.abs(image.array).max()) ** 2)
    for row in np.flatnonzero(np.isfinite(positions).all(1)):
        tensor = _structure_tensor(image.array, positions[row], scales, spacing)
        values, vectors = np.linalg.eigh(tensor)
        if values[-1] > least:
            directions[row] = vectors[:, -1]
            coherence[row] = ((values[-1] - values[-2]) / (values[-1] + values[-2])) ** 2
    return CertainDirections(tuple(landmarks), positions * spacing, directions, coherence)


def _structure_tensor(
    array: NDArray, position: NDArray[np.float64], scales: NDArray[np.float64], spacing: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(d, d) mean product of the gradient's components around a position, weighted by a Gaussian."""
    reach = np.ceil(_REACH * scales).astype(int)
    low = np.floor(position).astype(int) - reach
    indices = [
        np.clip(np.arange(start, start + 2 * margin + 2), 0, side - 1)
        for start, margin, side in zip(low, reach, array.shape, strict=False)
    ]
    patch = gaussian_filter(np.asarray(array[np.ix_(*indices)], dtype=float), 0.5 * scales, mode="nearest")
    gradients = np.array(np.gradient(patch, *spacing))
    grid = np.meshgrid(
        *((start + np.arange(n) - centre) / scale
          for start, n, centre, scale in zip(low, patch.shape, position, scales, strict=True)),
        indexing="ij",
    )  # fmt: skip
    weights = np.exp(-0.5 * np.square(grid).sum(0))
    flat = gradients.reshape(len(gradients), -1)
    return np.asarray((flat * weights.ravel()) @ flat.T / weights.sum())
