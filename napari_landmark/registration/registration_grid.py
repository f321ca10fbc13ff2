"""Registration grid: the working grid downsampled by two, on which pairs are registered.

Shares of labels and positions of landmarks are converted to it here, for training and for a single pair alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray

from napari_landmark.data.cohort.working_grid import CanvasTransform, resample_region
from napari_landmark.data.landmarks import Landmark
from napari_landmark.registration.label_overlap import most_common

DOWNSAMPLING = 2
"""Pixels of the working grid per pixel of the registration grid, along each axis."""


def label_probabilities(
    array: NDArray[np.integer], labels: Sequence[int], canvas_transform: CanvasTransform
) -> torch.Tensor:
    """(1 + labels, *canvas / 2) float32: share of the background and of each label in each pixel.

    The border of the image is repeated outside, as it is in the resampled image.
    """
    return with_background([label_share(array == label, canvas_transform) for label in labels])


def label_share(region: NDArray[np.bool_], canvas_transform: CanvasTransform) -> torch.Tensor:
    """(*canvas / 2) float32: share of one region in each pixel, 0..1."""
    pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[region.ndim]
    return pool(torch.from_numpy(resample_region(region, canvas_transform))[None, None], DOWNSAMPLING)[0, 0]


def with_background(shares: Sequence[torch.Tensor]) -> torch.Tensor:
    """Stack shares (*grid) of labels behind that of the background: (1 + labels, *grid) float32."""
    foreground = torch.stack([share.float() for share in shares])
    return torch.cat([(1 - foreground.sum(0, keepdim=True)).clamp(0, 1), foreground])


def label_grid(
    array: NDArray[np.integer], labels: Sequence[int], canvas_transform: CanvasTransform
) -> torch.Tensor:
    """(*canvas / 2) int64: number of the label of most of each pixel, from 1 on in their order; 0 for any other.

    The border of the image is repeated outside, as it is in the resampled image.
    """
    numbers = np.zeros(array.shape, np.int64)
    for number, label in enumerate(labels):
        numbers[array == label] = number + 1
    matrix, offset = canvas_transform.matrix, canvas_transform.offset
    axes = np.abs(matrix).argmax(0)  # of the native image, by axis of the working grid
    lines = [
        # Half up, since `rint` would skip every other one of positions between two pixels.
        np.floor(matrix[axis, own] * np.arange(size) + offset[axis] + 0.5)
        .astype(int)
        .clip(0, array.shape[axis] - 1)
        for own, (axis, size) in enumerate(zip(axes, canvas_transform.canvas, strict=True))
    ]
    return most_common(torch.from_numpy(numbers.transpose(axes)[np.ix_(*lines)]), DOWNSAMPLING)


def grid_positions(native: ArrayLike, canvas_transform: CanvasTransform) -> NDArray[np.float64]:
    """Positions (n, d) on the registration grid, in pixels, of native index positions (n, d)."""
    return (canvas_transform.to_working(native) + 0.5) / DOWNSAMPLING - 0.5


def landmark_weight(landmark: Landmark) -> float:
    """Weight of a landmark in the loss: its confidence if it was predicted, 1 if it is manual or has none."""
    if landmark.status.is_manual or landmark.confidence is None:
        return 1.0
    return landmark.confidence
