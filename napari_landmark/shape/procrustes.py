"""Procrustes superimposition: one configuration onto another, and all onto their mean (GPA)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_landmark.data.errors import InputError

_SMALLEST_CHANGE = 1e-13  # of coordinates of unit centroid size: rounding
_MOST_ITERATIONS = 500
_FEWEST_LANDMARKS = 3

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Superimposition:
    """Configurations in Procrustes superimposition: centred, of unit centroid size, rotated to their mean.

    Parameters
    ----------
    coordinates : (n, k, d) array
        Procrustes coordinates, in array axis order.
    mean : (k, d) array
        Mean shape, of unit centroid size.
    centroid_sizes : (n,) array
        Square root of the summed squared distances of the landmarks from their centroid, in the unit of the input.
    """

    coordinates: Array
    mean: Array
    centroid_sizes: Array

    @property
    def distances(self) -> Array:
        """(n,) Procrustes distances from the mean shape (partial: unit size on both sides)."""
        return np.sqrt(((self.coordinates - self.mean) ** 2).sum((1, 2)))

    @property
    def tangent_coordinates(self) -> Array:
        """(n, k, d) coordinates projected orthogonally to the tangent space at the mean (Rohlf 1999, J Classif 16)."""
        flat, mean = self.coordinates.reshape(len(self.coordinates), -1), self.mean.ravel()
        along = flat @ mean
        return (flat - along[:, None] * mean + mean).reshape(self.coordinates.shape)


def generalized_procrustes(positions: ArrayLike, *, reflections: bool = False) -> Superimposition:
    """Superimpose configurations onto their mean: partial generalised Procrustes analysis.

    Position, size and rotation are removed (Gower 1975, Psychometrika 40; Rohlf and Slice 1990, Syst Zool 39). The mean
    is iterated until no coordinate changes by more than rounding; its rotation is that of the mean of the
    configurations as they are, so that it looks like the images where these are upright.

    Parameters
    ----------
    positions : (n, k, d) array_like
        Positions of k landmarks in n images, without NaN, d 2 or 3, with axes of one scale.
    reflections : bool, optional
        Whether a mirror image may be reflected to fit; by default it stays one, and is far from the mean.

    Raises
    ------
    InputError
        There are fewer than two configurations or three landmarks, or all landmarks of one coincide.
    """
    configurations = np.asarray(positions, dtype=np.float64)
    if configurations.ndim != 3 or configurations.shape[2] not in (2, 3):
        raise ValueError(f"expected positions of shape (n, k, 2 or 3), got {configurations.shape}")
    if not np.isfinite(configurations).all():
        raise ValueError("positions must be finite: leave out or estimate missing landmarks")
    count, landmarks = configurations.shape[:2]
    if count < 2:
        raise InputError(f"a superimposition of {count} image: give two or more with all landmarks")
    if landmarks < _FEWEST_LANDMARKS:
        raise InputError(f"a shape of {landmarks} landmarks: give {_FEWEST_LANDMARKS} or more")
    centred = configurations - configurations.mean(axis=1, keepdims=True)
    sizes = centroid_sizes(configurations)
    if (flat := np.flatnonzero(~(sizes > 0))).size:
        raise InputError(f"configuration {flat[0] + 1}: all of its landmarks are at one position")
    shapes = centred / sizes[:, None, None]
    upright = _unit(shapes.mean(axis=0), fallback=shapes[0])
    mean = shapes[0]
    for _ in range(_MOST_ITERATIONS):
        shapes = shapes @ rotations(shapes, mean, reflections=reflections)
        newer = _unit(shapes.mean(axis=0), fallback=shapes[0])
        # The mean of shapes that were rotated to another may have turned a little: compare without that.
        newer = newer @ rotations(newer[None], mean)[0]
        change = np.abs(newer - mean).max()
        mean = newer
        if change < _SMALLEST_CHANGE:
            break
    mean = mean @ rotations(mean[None], upright)[0]
    return Superimposition(shapes @ rotations(shapes, mean, reflections=reflections), mean, sizes)


def centroid_sizes(positions: ArrayLike) -> Array:
    """(n,) centroid sizes of (n, k, d) positions, in their unit."""
    configurations = np.asarray(positions, dtype=np.float64)
    centred = configurations - configurations.mean(axis=1, keepdims=True)
    return np.sqrt((centred**2).sum(axis=(1, 2)))


def rotations(shapes: Array, target: Array, *, reflections: bool = False) -> Array:
    """Rotations that bring centred shapes closest to a centred target, by least squares.

    Kabsch's solution; ``shapes @ rotation`` is the rotated shape.

    Parameters
    ----------
    shapes : (n, k, d) array
    target : (k, d) or (n, k, d) array
    reflections : bool, optional
        Whether the result may be a reflection.

    Returns
    -------
    (n, d, d) array
    """
    covariance = np.swapaxes(shapes, 1, 2) @ target
    if (
        covariance.shape[-1] == 2 and not reflections
    ):  # without a decomposition: ten times as fast for many shapes
        cosine = covariance[:, 0, 0] + covariance[:, 1, 1]
        sine = covariance[:, 0, 1] - covariance[:, 1, 0]
        length = np.hypot(cosine, sine)
        cosine, sine = np.where(length > 0, (cosine, sine), (np.ones_like(sine), sine)) / np.where(
            length > 0, length, 1.0
        )
        return np.stack([np.stack([cosine, sine], -1), np.stack([-sine, cosine], -1)], axis=-2)
    u, _, vt = np.linalg.svd(covariance)
    if not reflections:
        u[..., -1] *= np.sign(np.linalg.det(u) * np.linalg.det(vt))[:, None]
    return u @ vt


def fit_to(
    target: Array, positions: Array, weights: Array | None = None, *, reflections: bool = False
) -> Array:
    """Fit configurations to a target by translation, scale and rotation (full Procrustes fit).

    Parameters
    ----------
    target : (k, d) array
    positions : (n, k, d) array
        Rows of weight 0 may have any finite value.
    weights : (n, k) array, optional
        Weights of the landmarks; equal by default.
    reflections : bool, optional
        Whether a configuration may be reflected.

    Returns
    -------
    (n, k, d) array
        The configurations in the frame of the target.
    """
    if weights is None:
        weights = np.ones(positions.shape[:2])
    total = np.maximum(weights.sum(axis=1), 1e-300)
    share = (weights / total[:, None])[:, None]
    centres = share @ positions
    origins = share @ target
    moved, fixed = positions - centres, target - origins
    weighted = moved * share[:, 0, :, None]
    turned = moved @ rotations(weighted, fixed, reflections=reflections)
    size = (weighted * moved).sum(axis=(1, 2))
    scale = (share[:, 0, :, None] * turned * fixed).sum(axis=(1, 2)) / np.where(size > 0, size, 1)
    return turned * scale[:, None, None] + origins


def _unit(shape: Array, *, fallback: Array) -> Array:
    """The shape centred and of unit size; another one where it has none, as the mean of opposite shapes."""
    centred = shape - shape.mean(axis=0)
    size = np.linalg.norm(centred)
    return centred / size if size > 1e-6 else fallback
