"""Surfaces in a volume: a threshold between dark and bright, and the first bright surface along a ray."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates
from skimage.filters import threshold_otsu

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.display import sample_intensities
from napari_landmark.data.images.window import looks_like_hounsfield

BONE = 300.0
"""Threshold of bone in CT, in Hounsfield units."""
_STEPS_PER_VOXEL = 4


def surface_threshold(array: NDArray) -> float:
    """Intensity between dark and bright: that of bone in CT, else by Otsu's method (1979)."""
    if looks_like_hounsfield(array):
        return BONE
    values = sample_intensities(array)
    if not values.size or values.min() == values.max():
        return float(values.min()) if values.size else 0.0
    return float(threshold_otsu(values))


def first_surface(
    array: NDArray, start: ArrayLike, end: ArrayLike, *, threshold: float
) -> tuple[float, float, float]:
    """First position along a ray where a volume, interpolated linearly, rises to a threshold.

    Parameters
    ----------
    array : (z, y, x) array
    start, end : (3,) array_like
        Index positions; what lies outside of the volume is stepped over.
    threshold : float

    Returns
    -------
    tuple of float
        Index position, exact to the linear interpolation between samples a quarter of a voxel apart.

    Raises
    ------
    InputError
        The ray misses the volume, meets nothing as bright, or enters the volume within something bright that is cut
        off there and has no surface.
    """
    entry, leave = _inside(array.shape, np.asarray(start, float), np.asarray(end, float))
    count = 2 + math.ceil(_STEPS_PER_VOXEL * float(np.linalg.norm(leave - entry)))
    points = np.linspace(entry, leave, count)
    values = map_coordinates(array, points.T, order=1, mode="nearest", output=np.float64)
    bright = values >= threshold
    if not bright.any():
        raise InputError(
            f"nothing under the cursor is as bright as {threshold:.4g}: lower the threshold of the surface, or place "
            "it in a plane"
        )
    first = int(bright.argmax())
    if first == 0:
        raise InputError(
            f"the volume is cut off under the cursor, within what is brighter than {threshold:.4g}: raise the "
            "threshold of the surface, turn the volume, or place it in a plane"
        )
    before, after = values[first - 1], values[first]
    share = (threshold - before) / (after - before)
    z, y, x = points[first - 1] + share * (points[first] - points[first - 1])
    return float(z), float(y), float(x)


def _inside(
    shape: tuple[int, ...], start: NDArray[np.float64], end: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Part of a ray between the centres of the outermost voxels; InputError where there is none."""
    direction = end - start
    upper = np.asarray(shape) - 1.0
    near, far = 0.0, 1.0
    for axis in range(3):
        if abs(direction[axis]) < 1e-12:
            if not 0 <= start[axis] <= upper[axis]:
                near, far = 1.0, 0.0
            continue
        a, b = sorted(((0 - start[axis]) / direction[axis], (upper[axis] - start[axis]) / direction[axis]))
        near, far = max(near, a), min(far, b)
    if near > far:
        raise InputError("that is beside the volume: click on it")
    return start + near * direction, start + far * direction
