"""Arrays that show a registration on the grid of the fixed image; free of napari, so that a thread can draw them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.images.display import checkerboard, scale_to_unit
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.gui.layers.pair_inputs import PairInputs
from napari_landmark.registration.transform.fields_numpy import orientation
from napari_landmark.registration.transform.grids import index_to_world
from napari_landmark.registration.transform.transform import Transform

_ARROWS = {2: 28, 3: 14}  # along the longest side
_LINES = 20
_HEAD_PART, _HEAD_MOST = 0.4, 0.6  # length of a head: of its arrow, of the median arrow
_HEAD_ANGLE = math.radians(28)
_MAP_SIDE = {2: 512, 3: 128}


@dataclass(frozen=True, eq=False)
class Views:
    """Arrays on the grid of the fixed image.

    Parameters
    ----------
    warped, checkerboard, grid : arrays of the fixed image's shape
        Warped moving image; checkerboard of both images, 0 to 255; warped grid lines of the moving image, 0 or 255.
    labels : integer array of that shape, or None
    landmarks : LandmarkSet or None
        Warped landmarks of the moving image.
    arrows : (n, 2, d) array
        Points of the fixed image and their displacements to the moving one, in pixels of the fixed image.
    jacobian, folds : arrays
        Jacobian determinant of the transform; 1 where it is not positive, else 0.
    step : int
        Pixels of the fixed image for each element of `jacobian` and `folds`.
    """

    warped: NDArray
    checkerboard: NDArray[np.uint8]
    grid: NDArray[np.uint8]
    labels: NDArray[np.integer] | None
    landmarks: LandmarkSet | None
    arrows: NDArray[np.float64]
    jacobian: NDArray[np.float32]
    folds: NDArray[np.uint8]
    step: int


def draw_views(transform: Transform, pair: PairInputs) -> Views:
    """Draw all views of a registered pair."""
    warped = transform.warp_image(pair.moving).array
    lines = MedicalImage(straight_lines(transform.moving.shape), transform.moving, "grid")
    # Beyond the moving image its border is repeated, which would be a line as wide as that.
    inside = transform.warp_labels(np.ones(transform.moving.shape, np.uint8)) > 0
    step = max(1, math.ceil(max(transform.fixed.shape) / _MAP_SIDE[transform.fixed.ndim]))
    determinants, folds = jacobian_map(transform, step)
    return Views(
        warped,
        np.rint(255 * checkerboard(scale_to_unit(pair.fixed.array), scale_to_unit(warped))).astype(np.uint8),
        np.where(inside, transform.warp_image(lines).array, 0).astype(np.uint8),
        None if pair.moving_labels is None else transform.warp_labels(pair.moving_labels),
        None if pair.moving_landmarks is None else transform.warp_landmarks(pair.moving_landmarks),
        arrows(transform),
        determinants,
        folds,
        step,
    )


def straight_lines(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Grid lines in the last two axes, which the viewer shows: 0 or 255."""
    step = max(4, round(max(shape[-2:]) / _LINES))
    width = max(1, step // 12)
    rows, columns = (np.arange(size) % step < width for size in shape[-2:])
    plane = (rows[:, None] | columns[None, :]).astype(np.uint8) * 255
    return np.broadcast_to(plane, shape).copy()


def arrows(transform: Transform) -> NDArray[np.float64]:
    """(n, 2, d) starts and displacements of regularly spaced points, in pixels of the fixed image."""
    shape = transform.fixed.shape
    step = max(1.0, max(shape) / _ARROWS[len(shape)])
    axes = [np.arange((size % step) / 2, size, step) for size in shape]
    starts = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(shape))
    ends = transform.fixed_world.to_index(transform.moving_world.to_world(transform.to_moving(starts)))
    return np.stack([starts, ends - starts], axis=1)


def arrow_heads(arrows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2 n, 2, d) strokes of the heads of arrows, in the last two axes, which the viewer shows.

    A head is in the slice in which its arrow begins. Arrows shorter than a pixel have none.

    Parameters
    ----------
    arrows : (n, 2, d) array
        Starts and displacements.
    """
    across = arrows[:, 1, -2:]
    length = np.linalg.norm(across, axis=1)
    long = length >= 1
    starts, across, length = arrows[long, 0], across[long], length[long]
    size = np.minimum(
        _HEAD_PART * length, _HEAD_MOST * max(1.0, float(np.median(length)) if len(length) else 1.0)
    )
    back = -across / length[:, None] * size[:, None]
    strokes = []
    for angle in (_HEAD_ANGLE, -_HEAD_ANGLE):
        cos, sin = math.cos(angle), math.sin(angle)
        stroke = np.zeros((len(starts), 2, arrows.shape[2]))
        stroke[:, 0] = starts
        stroke[:, 0, -2:] += across
        stroke[:, 1, -2:] = back @ np.array([[cos, -sin], [sin, cos]])
        strokes.append(stroke)
    return np.concatenate(strokes)


def jacobian_map(transform: Transform, step: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Jacobian determinant, and 1 where it is not positive, at every `step`-th pixel of the fixed image."""
    from scipy.ndimage import map_coordinates

    axes = [np.arange(0, size, step) for size in transform.fixed.shape]
    pixels = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    positions = transform.grid.to_index(
        transform.fixed_world.to_world(pixels.reshape(-1, len(axes)).astype(float))
    )
    matrix, offset = index_to_world(transform.grid)
    turned = orientation(transform.displacement, matrix, offset)
    values = map_coordinates(transform.jacobian() * turned, positions.T, order=1, mode="nearest")
    values = values.reshape(pixels.shape[:-1])
    return values.astype(np.float32), (values <= 0).astype(np.uint8)
