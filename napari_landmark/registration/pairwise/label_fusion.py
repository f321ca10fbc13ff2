"""Fusion of label maps that several images were given by others, voxel by voxel.

Locally weighted voting (Artaechevarria, Muñoz-Barrutia, Ortiz-de-Solórzano: "Combination strategies in multi-atlas
image segmentation", IEEE TMI 2009): an image that looks like the target around a voxel counts more there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_WINDOW = {2: 9, 3: 5}  # pixels, by number of axes
_POWER = 2  # of the local correlation
_LEAST = np.float32(1e-3)  # weight where nothing looks alike, as outside the field of view of an image
_FLAT = 1e-3  # product of variances, of images of variance one, below which there is nothing to compare
_AT_ONCE = 4_000_000  # pixels that are voted on at a time


@dataclass(frozen=True, eq=False)
class FusedLabels:
    """Label map by votes.

    Parameters
    ----------
    labels : integer array
    agreement : float32 array of that shape
        Share of the votes, by weight, that the label of each pixel has, 0..1.
    """

    labels: NDArray[np.integer]
    agreement: NDArray[np.float32]

    @property
    def mean_agreement(self) -> float | None:
        """Mean of the agreement in all regions; None without any region."""
        inside = self.labels > 0
        return float(self.agreement[inside].mean()) if inside.any() else None


def fuse_labels(
    image: NDArray, warped_images: Sequence[NDArray], warped_labels: Sequence[NDArray[np.integer]]
) -> FusedLabels:
    """Fuse label maps by votes, weighted by the local likeness of their images to the target.

    Parameters
    ----------
    image : array
        Target.
    warped_images, warped_labels : sequences of arrays of the target's shape
        Images that were registered to the target, and their label maps, in one order.

    Returns
    -------
    FusedLabels
        Of labels with the same votes, that of the first image.

    Raises
    ------
    ValueError
        No label map, not one for each image, or arrays of another shape.
    """
    arrays = [*warped_images, *warped_labels]
    if not warped_labels or len(warped_images) != len(warped_labels):
        raise ValueError(f"{len(warped_labels)} label maps of {len(warped_images)} images")
    if any(array.shape != image.shape for array in arrays):
        raise ValueError(f"arrays of other shapes than {image.shape}: {[array.shape for array in arrays]}")
    weights = [local_likeness(image, warped) for warped in warped_images]
    kind = np.result_type(*warped_labels)
    labels, agreement = np.zeros(image.shape, kind), np.zeros(image.shape, np.float32)
    step = max(1, _AT_ONCE // max(1, math.prod(image.shape[1:])))
    for begin in range(0, len(image), step):
        rows = slice(begin, begin + step)
        labels[rows], agreement[rows] = _vote(
            [given[rows] for given in warped_labels], [weight[rows] for weight in weights]
        )
    return FusedLabels(labels, agreement)


def local_likeness(first: NDArray, second: NDArray) -> NDArray[np.float32]:
    """Power of the local correlation of two images of one shape, 0.001..1; no correlation below zero counts."""
    a, b = _standardized(first), _standardized(second)

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return ndimage.uniform_filter(values, _WINDOW[values.ndim])

    mean_a, mean_b = mean(a), mean(b)
    covariance = mean(a * b) - mean_a * mean_b
    variances = (mean(a * a) - mean_a**2).clip(0) * (mean(b * b) - mean_b**2).clip(0)
    correlation = covariance / np.sqrt(variances + _FLAT)
    return np.clip(correlation, 0, 1).astype(np.float32) ** _POWER + _LEAST


def _standardized(image: NDArray) -> NDArray[np.float32]:
    """Mean zero and variance one; nothing but zeros of a constant image."""
    values = np.nan_to_num(np.asarray(image, np.float32))
    deviation = float(values.std())
    return (values - values.mean()) / np.float32(deviation) if deviation > 0 else np.zeros_like(values)


def _vote(
    labels: Sequence[NDArray[np.integer]], weights: Sequence[NDArray[np.float32]]
) -> tuple[NDArray[np.integer], NDArray[np.float32]]:
    """Label with most votes, and its share of them, of each pixel."""
    winner, most = labels[0], np.full(labels[0].shape, -1, np.float32)
    for label in labels:
        votes = np.zeros(label.shape, np.float32)
        for other, weight in zip(labels, weights, strict=True):
            votes += weight * (other == label)
        better = votes > most
        winner, most = np.where(better, label, winner), np.where(better, votes, most)
    return winner, most / np.sum(weights, axis=0)
