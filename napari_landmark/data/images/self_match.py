"""Whether the pixels under a landmark of a picture tell its position: matches of the picture with itself.

The surroundings of a landmark are compared with those of all positions around it. Positions that look alike, but for
the noise of the picture, could be taken for the landmark: along a straight contour there is a row of them, where
nothing but noise is all of them look alike. No network is needed, so that a template can be checked while it is
annotated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, distance_transform_edt, gaussian_filter, laplace

from napari_landmark.data.error_covariance import principal_axes
from napari_landmark.data.images.image import MedicalImage

_ALIKE = 0.1  # of the largest mean squared difference around a landmark: people and matches differ by such
_NOISE_EXCESS = 1.5  # times the difference that noise alone makes
_WINDOW = 1 / 40  # half of the side of what is searched for, in longest sides: 6 mm of a skull
_REACH = 1 / 50  # distance up to which is searched, in longest sides
_LARGEST_WINDOW = 24  # pixels after averaging; more would take seconds
_SMOOTH = 1.0  # pixels: noise beneath it is no structure
_NOISE_GRADIENTS = 4.0  # a gradient of so many standard deviations of that of noise alone is an edge
_LEAST_EDGE = 0.1  # of the 99th percentile of all gradients of the picture
_LAPLACE_NOISE = np.sqrt(
    20.0
)  # standard deviation of the Laplacian of noise of 1: weights 4, and four times 1
_SPREAD_OF_MEDIAN = 1.4826


@dataclass(frozen=True)
class SelfMatch:
    """How well the pixels around a landmark tell where it is; lengths in mm, or in pixels without a spacing.

    Parameters
    ----------
    across, along : float
        Standard deviation of the positions that look alike, in the direction in which they scatter least, and most.
    direction : tuple of float
        Unit vector of `along`, in array axis order.
    reach : float
        Distance up to which edges were looked for; about 3 mm of a skull.
    nearest_edge : float or None
        Distance to the nearest edge; None where the picture has none.
    unit : str
        'mm' or 'px'.
    """

    across: float
    along: float
    direction: tuple[float, ...]
    reach: float
    nearest_edge: float | None
    unit: str

    @property
    def has_structure(self) -> bool:
        """Whether an edge is within reach."""
        return self.nearest_edge is not None and self.nearest_edge <= self.reach

    @property
    def slides(self) -> bool:
        """Whether the landmark is on a contour that looks alike along it, for half of the reach and more."""
        return self.has_structure and self.along > max(2 * self.across, self.reach / 2)


def match_with_itself(image: MedicalImage, position: tuple[float, ...]) -> SelfMatch | None:
    """Compare the surroundings of a landmark with those of all positions around it.

    Parameters
    ----------
    image : MedicalImage
        Of two axes; None is returned for others.
    position : tuple of float
        Native index coordinates in array axis order.
    """
    if image.geometry.ndim != 2:
        return None
    spacing = np.array(image.geometry.spacing or (1.0, 1.0))
    step = float(spacing.max())
    longest = float(max(np.multiply(image.geometry.shape, spacing)))
    grid = max(step, _WINDOW * longest / _LARGEST_WINDOW)  # distance of the pixels that are compared
    window, reach = round(_WINDOW * longest / grid), max(3, round(_REACH * longest / grid))
    margin = 2 * (window + reach) + 2
    patch = _resampled(image, position, spacing, grid, margin)
    noise = float(np.median(np.abs(laplace(patch))) * _SPREAD_OF_MEDIAN / _LAPLACE_NOISE)
    smooth = gaussian_filter(patch, _SMOOTH)
    shifts = _alike(smooth, noise, window, reach)
    deviations, axes = principal_axes(shifts.T @ shifts / len(shifts))
    return SelfMatch(
        float(deviations[0] * grid),
        float(deviations[1] * grid),
        tuple(axes[:, 1].tolist()),
        0.5 * _REACH * longest,
        _nearest_edge(smooth, noise, margin, grid),
        "px" if image.geometry.spacing is None else "mm",
    )


def _resampled(
    image: MedicalImage, position: tuple[float, ...], spacing: NDArray[np.float64], grid: float, margin: int
) -> NDArray[np.float64]:
    """Square patch around a position, averaged to pixels of that size."""
    zoom = grid / spacing
    array = np.asarray(image.array, dtype=np.float32)
    low = np.maximum(0, np.floor(position - (margin + 2) * zoom)).astype(int)
    high = np.minimum(array.shape, np.ceil(position + (margin + 3) * zoom)).astype(int)
    high = np.maximum(high, low + 1)
    part = array[low[0] : high[0], low[1] : high[1]]
    if zoom.max() > 1.01:
        part = gaussian_filter(part, 0.4 * np.where(zoom > 1.01, zoom, 0))
    size = 2 * margin + 1
    offset = np.asarray(position) - low - margin * zoom
    patch = affine_transform(part, zoom, offset, (size, size), order=1, mode="nearest")
    return np.asarray(patch, dtype=float)


def _alike(smooth: NDArray[np.float64], noise: float, window: int, reach: int) -> NDArray[np.float64]:
    """Shifts (k, 2) at which the surroundings look like those in the middle; no shift is one of them."""
    margin = (len(smooth) - 1) // 2
    middle = smooth[_around(margin, window)]
    steps = np.arange(-reach, reach + 1)
    shifts = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    shifts = shifts[np.linalg.norm(shifts, axis=1) <= reach]
    windows = np.lib.stride_tricks.sliding_window_view(smooth, middle.shape)
    rows, columns = (shifts + margin - window).T
    differences = np.square(windows[rows, columns] - middle).mean((1, 2))
    of_noise = 2 * noise**2 / (4 * np.pi * _SMOOTH**2)  # twice the variance of smoothed noise
    alike = differences <= max(_NOISE_EXCESS * of_noise, _ALIKE * float(differences.max()))
    return np.asarray(shifts[alike], dtype=float)


def _nearest_edge(smooth: NDArray[np.float64], noise: float, margin: int, grid: float) -> float | None:
    """Distance from the middle of a patch to the nearest edge."""
    gradients = np.hypot(*np.gradient(smooth))
    # Standard deviation of a difference of two pixels that are two apart, after smoothing.
    of_noise = noise / (2 * np.sqrt(np.pi) * _SMOOTH) / np.sqrt(2)
    least = max(_NOISE_GRADIENTS * of_noise, _LEAST_EDGE * float(np.percentile(gradients, 99)))
    edges = gradients > max(least, 1e-9)
    if not edges.any():
        return None
    return float(distance_transform_edt(~edges)[margin, margin] * grid)


def _around(margin: int, half: int) -> tuple[slice, slice]:
    """Middle of a square patch."""
    part = slice(margin - half, margin + half + 1)
    return part, part
