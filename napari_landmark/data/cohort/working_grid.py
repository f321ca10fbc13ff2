"""Transform between a native image and the cohort's working grid, and resampling to it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry, as_points

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from napari_landmark.data.images.image import MedicalImage

_PERCENTILES = (0.5, 99.5)
_PERCENTILE_SAMPLE = 250_000
_NEARLY_EMPTY = 0.9  # share of pixels of one extreme intensity
_ROUNDING = 1e-9  # of quarter turns
_BLOCK = 16_000_000  # pixels resampled at a time: more than nearly every image has


@dataclass(frozen=True, eq=False)
class CanvasTransform:
    """Affine transform of index coordinates from the working grid to a native image.

    ``native = matrix @ working + offset``. Of an upright image the matrix has one value in every row and column:
    scaling, flip and exchange of axes.

    Parameters
    ----------
    canvas : tuple of int
        Shape of the working grid.
    matrix : (ndim, ndim) array
    offset : (ndim,) array
        Both in array axis order.
    inverted : bool
        Whether the working grid shows the negative of the image.
    """

    canvas: tuple[int, ...]
    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    inverted: bool = False

    @cached_property
    def scale(self) -> float:
        """Native pixels per pixel of the working grid (geometric mean over the axes)."""
        return float(abs(np.linalg.det(self.matrix)) ** (1 / len(self.canvas)))

    def to_native(self, points: ArrayLike) -> NDArray[np.float64]:
        """Native index positions of working index positions, (n, ndim) to (n, ndim)."""
        return as_points(points, len(self.canvas)) @ self.matrix.T + self.offset

    def to_working(self, points: ArrayLike) -> NDArray[np.float64]:
        """Working index positions of native index positions, (n, ndim) to (n, ndim)."""
        return (as_points(points, len(self.canvas)) - self.offset) @ np.linalg.inv(self.matrix).T

    def posed(self, pose: Pose) -> CanvasTransform:
        """Transform of the same image in a pose, where this one is that of the upright image."""
        centre = (np.asarray(self.canvas) - 1) / 2
        middle = centre + pose.shift * max(self.canvas) - pose.matrix @ centre
        return CanvasTransform(
            self.canvas,
            self.matrix @ pose.matrix,
            self.matrix @ middle + self.offset,
            self.inverted != pose.inverted,
        )


def fit_canvas_transform(
    geometry: Geometry, canvas: Sequence[int], pose: Pose | None = None
) -> CanvasTransform:
    """Fit a whole image into a working grid, centred, its physical proportions kept; then in a pose, if given.

    Where the spacing is not known, pixels are taken as square. Axes of a volume are exchanged and
    flipped to the nearest axes of the world, so that volumes stored in different orientations are
    aligned; a picture is left as it is.

    Parameters
    ----------
    geometry : Geometry
        Of the native image.
    canvas : sequence of int
        Shape of the working grid.
    pose : Pose, optional
        Relative to the upright image.

    Raises
    ------
    InputError
        Where image, working grid and pose have not the same number of axes.

    Examples
    --------
    >>> canvas_transform = fit_canvas_transform(Geometry((100, 50)), (200, 200))
    >>> canvas_transform.to_native([[99.5, 99.5]]).tolist()
    [[49.5, 24.5]]
    """
    canvas = tuple(int(size) for size in canvas)
    ndim = geometry.ndim
    if len(canvas) != ndim or (pose is not None and pose.ndim != ndim):
        raise InputError(
            f"an image of {ndim} axes among images of {len(canvas)}: keep them in separate folders"
        )
    spacing = np.asarray(geometry.spacing or (1.0,) * ndim)
    axes, signs = canonical_axes(geometry)
    extents = np.asarray(geometry.shape) * spacing
    # World length of one working pixel: the axis that fills the working grid first decides.
    unit = max(extents[axis] / size for axis, size in zip(axes, canvas, strict=True))
    matrix = np.zeros((ndim, ndim))
    for working_axis, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        matrix[axis, working_axis] = sign * unit / spacing[axis]
    centre = (np.asarray(geometry.shape) - 1) / 2
    upright = CanvasTransform(canvas, matrix, centre - matrix @ ((np.asarray(canvas) - 1) / 2))
    return upright if pose is None else upright.posed(pose)


def pose_of_transform(canvas_transform: CanvasTransform, geometry: Geometry) -> Pose:
    """Pose in which `fit_canvas_transform` of an image with that geometry gives a transform."""
    upright = fit_canvas_transform(geometry, canvas_transform.canvas)
    inverse = np.linalg.inv(upright.matrix)
    matrix = inverse @ canvas_transform.matrix
    centre = (np.asarray(canvas_transform.canvas) - 1) / 2
    moved = upright.to_working([canvas_transform.matrix @ centre + canvas_transform.offset])[0]
    return Pose(matrix, (moved - centre) / max(canvas_transform.canvas), canvas_transform.inverted)


def canonical_axes(geometry: Geometry) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Array axis closest to each world axis, and its sense: along (1) or against (-1) it."""
    if geometry.ndim == 2:
        return (0, 1), (1, 1)
    direction = np.asarray(geometry.direction)
    world = range(geometry.ndim)
    axes = max(
        itertools.permutations(world), key=lambda order: sum(abs(direction[w, order[w]]) for w in world)
    )
    return axes, tuple(1 if direction[w, axis] >= 0 else -1 for w, axis in enumerate(axes))


def resample(image: MedicalImage, canvas_transform: CanvasTransform) -> NDArray[np.float32]:
    """Resample an image to the working grid.

    Intensities between the 0.5th and the 99.5th percentile become 0 to 1, those beyond are clipped; a
    constant image becomes zeros. Pixels are averaged by area where the image is reduced and interpolated
    linearly where it is enlarged, in one step also where it is turned. Outside the image its border is repeated.

    Parameters
    ----------
    image : MedicalImage
        The native image.
    canvas_transform : CanvasTransform
        From `fit_canvas_transform` of the image's geometry.

    Returns
    -------
    array of float32, shape of the working grid
        Values from 0 to 1.
    """
    return resample_array(image.array, intensity_limits(image.array), canvas_transform)


def resample_region(mask: NDArray[np.bool_], canvas_transform: CanvasTransform) -> NDArray[np.float32]:
    """Resample a region to its share of every pixel of the working grid, as `resample` an image.

    Parameters
    ----------
    mask : (native shape) array of bool
    canvas_transform : CanvasTransform
        Of the image that the region belongs to.

    Returns
    -------
    array of float32, shape of the working grid
        Values from 0 to 1; outside the image its border is repeated.
    """
    return resample_array(mask.astype(np.uint8), (0.0, 1.0), canvas_transform)


def resample_array(
    array: NDArray, limits: tuple[float, float] | None, canvas_transform: CanvasTransform
) -> NDArray[np.float32]:
    """Resample pixels as `resample` does, with given intensity limits: for part of an image those of the whole.

    Parameters
    ----------
    array : (native shape) array
    limits : (float, float) or None
        Intensities that become 0 and 1, see `intensity_limits`; None gives zeros.
    canvas_transform : CanvasTransform
        From the resampled grid to the index coordinates of `array`.
    """
    matrix = abs(canvas_transform.matrix)
    if ((matrix > _ROUNDING * matrix.max()).sum(0) > 1).any():
        working = _resample_turned(array, limits, canvas_transform)
    else:
        working = _resample_along_axes(array, limits, canvas_transform)
    working = np.clip(np.ascontiguousarray(working, dtype=np.float32), 0, 1)
    return 1 - working if canvas_transform.inverted and limits is not None else working


def _resample_along_axes(
    array: NDArray, limits: tuple[float, float] | None, canvas_transform: CanvasTransform
) -> NDArray[np.float32]:
    """Resample an image whose axes are those of the working grid, exchanged or flipped."""
    # One sparse matrix for each axis: 3 ms from 968x1200 to 620x768, against 9 ms for SimpleITK (which does
    # not average), 22 ms for Pillow and 31 ms for skimage; and it is the same for volumes, flips and enlarging.
    axes = [int(abs(column).argmax()) for column in canvas_transform.matrix.T]
    native = array.transpose(axes)
    weights = [
        _axis_weights(native.shape[i], size, canvas_transform.matrix[axis, i], canvas_transform.offset[axis])
        for i, (axis, size) in enumerate(zip(axes, canvas_transform.canvas, strict=True))
    ]
    # The axis that is reduced most first: less is left for the others.
    first, *others = sorted(range(len(weights)), key=lambda i: weights[i].shape[0] / weights[i].shape[1])
    working = _resample_axis(weights[first], native, first, limits)
    for i in others:
        front = np.moveaxis(working, i, 0)
        resampled = weights[i] @ front.reshape(front.shape[0], -1)
        working = np.moveaxis(resampled.reshape(-1, *front.shape[1:]), 0, i)
    return working


def _resample_turned(
    array: NDArray, limits: tuple[float, float] | None, canvas_transform: CanvasTransform
) -> NDArray[np.float32]:
    """Resample an image that is turned by any angle.

    The image is averaged over whole blocks of pixels first where it is reduced by much, then over evenly
    spaced, linearly interpolated samples in every working pixel.
    """
    from scipy.ndimage import affine_transform  # slow to import, and reading landmarks does not need it

    dims = array.ndim
    # Native pixels per working pixel along each native axis.
    steps = np.linalg.norm(canvas_transform.matrix, axis=1)
    blocks = [max(1, math.floor(step / 4)) for step in steps]
    native = array
    for axis, block in enumerate(blocks):
        if block > 1 or axis == 0:
            size = math.ceil(array.shape[axis] / block)
            weights = _axis_weights(array.shape[axis], size, float(block), (block - 1) / 2)
            native = _resample_axis(weights, native, axis, limits if axis == 0 else (0.0, 1.0))
    reduction = np.array(blocks, float)
    samples = math.ceil(float((steps / reduction).max()))
    # Working index of the samples: `samples` of them, evenly spaced, in every working pixel.
    matrix = canvas_transform.matrix / samples
    offset = canvas_transform.offset - canvas_transform.matrix @ np.full(dims, (1 - 1 / samples) / 2)
    sampled = affine_transform(
        native,
        matrix / reduction[:, None],
        (offset - (reduction - 1) / 2) / reduction,
        output_shape=tuple(size * samples for size in canvas_transform.canvas),
        order=1,
        mode="nearest",
    )
    shape = [n for size in canvas_transform.canvas for n in (size, samples)]
    mean: NDArray[np.float32] = sampled.reshape(shape).mean(tuple(range(1, 2 * dims, 2)), dtype=np.float32)
    return mean


def _resample_axis(
    weights: csr_array, native: NDArray, axis: int, scale: tuple[float, float] | None
) -> NDArray[np.float32]:
    """Scale intensities and resample along one axis; a very large image in blocks, so that it is in memory once."""
    front = np.moveaxis(native, axis, 0)
    resampled = np.empty((weights.shape[0], *front.shape[1:]), np.float32)
    rows = max(1, _BLOCK // max(1, front.size // front.shape[1]))
    for start in range(0, front.shape[1], rows):
        block = _normalised(front[:, start : start + rows], scale)
        resampled[:, start : start + rows] = (weights @ block.reshape(front.shape[0], -1)).reshape(
            -1, *block.shape[1:]
        )
    return np.moveaxis(resampled, 0, axis)


def intensity_limits(array: NDArray) -> tuple[float, float] | None:
    """Intensities of an image that become 0 and 1, by robust percentiles; None for an image of one intensity."""
    step = max(1, math.floor((array.size / _PERCENTILE_SAMPLE) ** (1 / array.ndim)))
    sample = array[(slice(None, None, step),) * array.ndim]
    low, high = _limits(sample, _PERCENTILES)
    if not high > low:
        # Hardly anything but background: percentiles and sample may miss the rest.
        low, high = _limits(array, (0, 100))
    elif (sample <= low).mean() > _NEARLY_EMPTY:
        # A small object on a plain background: the percentiles of its own intensities, not those of all.
        high = max(high, _limits(sample[sample > low], _PERCENTILES)[1])
    elif (sample >= high).mean() > _NEARLY_EMPTY:
        low = min(low, _limits(sample[sample < high], _PERCENTILES)[0])
    return (low, high) if high > low else None


def _normalised(array: NDArray, scale: tuple[float, float] | None) -> NDArray[np.float32]:
    """Scale intensities to 0..1, clipped; those that are not finite become 0."""
    if scale is None:
        return np.zeros(array.shape, np.float32)
    low, high = scale
    # Eight-byte numbers may exceed float32 until they are scaled.
    scaled: NDArray[np.floating] = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)
    scaled -= low
    scaled *= 1 / (high - low)
    np.nan_to_num(scaled, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(scaled, 0, 1, out=scaled).astype(np.float32, copy=False)


def _limits(values: NDArray, percentiles: tuple[float, float]) -> tuple[float, float]:
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 0.0
    if percentiles == (0, 100):
        return float(values.min()), float(values.max())
    low, high = np.percentile(values.astype(np.float64), percentiles)
    return float(low), float(high)


def _axis_weights(n_native: int, n_working: int, scale: float, offset: float) -> csr_array:
    """Weights of the native pixels of one axis in every working pixel, as a sparse (n_working, n_native) matrix.

    A working pixel is `scale` native pixels wide. Its overlap with pixels of width one is a trapezoid: exact
    averaging by area. At scale one it is the triangle of linear interpolation, kept for enlarging.
    """
    from scipy.sparse import csr_array  # slow to import, and reading landmarks does not need it

    half = (max(abs(scale), 1.0) + 1) / 2
    centres = scale * np.arange(n_working) + offset
    reach = math.ceil(2 * half) + 1
    indices = np.ceil(centres - half).astype(np.int64)[:, None] + np.arange(reach)
    weights = np.clip(half - abs(indices - centres[:, None]), 0, 1)
    weights /= weights.sum(axis=1, keepdims=True)
    starts = np.arange(n_working + 1) * reach
    columns = np.clip(indices, 0, n_native - 1)
    return csr_array(
        (weights.astype(np.float32).ravel(), columns.ravel(), starts), shape=(n_working, n_native)
    )
