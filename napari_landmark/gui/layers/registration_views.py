"""What there is to see of a registration, as arrays on the fixed image; free of napari, for a thread."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.images.display import checkerboard, scale_to_unit
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.gui.jobs.pair_inputs import PairInputs
from napari_landmark.registration.transform.fields_numpy import orientation
from napari_landmark.registration.transform.grids import index_to_world
from napari_landmark.registration.transform.transform import Transform

_ARROWS = {2: 28, 3: 14}  # along the longest side
_LINES = 20
_MAP_SIDE = {2: 512, 3: 128}


@dataclass(frozen=True, eq=False)
class Views:
    """Arrays that lie on the fixed image.

    Parameters
    ----------
    warped, checkerboard, grid : arrays of the fixed image's shape
        The moving image; squares of both images by turns, 0 to 255; lines that are straight in the moving image.
    labels : integer array of that shape, or None
    landmarks : LandmarkSet or None
        Of the moving image.
    arrows : (n, 2, d) array
        Points of the fixed image, and the way to where they lie in the moving one, in pixels of the fixed one.
    jacobian, folds : arrays
        Volume in the moving image for each volume in the fixed one; where the field folds.
    step : int
        Pixels of the fixed image for each of `jacobian` and `folds`.
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
    """Everything that is shown of a transform of a pair."""
    warped = transform.warp_image(pair.moving).array
    lines = MedicalImage(straight_lines(transform.moving.shape), transform.moving, "grid")
    step = max(1, math.ceil(max(transform.fixed.shape) / _MAP_SIDE[transform.fixed.ndim]))
    determinants, folds = jacobian_map(transform, step)
    return Views(
        warped,
        np.rint(255 * checkerboard(scale_to_unit(pair.fixed.array), scale_to_unit(warped))).astype(np.uint8),
        transform.warp_image(lines).array,
        None if pair.moving_labels is None else transform.warp_labels(pair.moving_labels),
        None if pair.moving_landmarks is None else transform.warp_landmarks(pair.moving_landmarks),
        arrows(transform),
        determinants,
        folds,
        step,
    )


def straight_lines(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A grid of lines in the plane that is looked at: the last two axes."""
    step = max(4, round(max(shape[-2:]) / _LINES))
    width = max(1, step // 12)
    rows, columns = (np.arange(size) % step < width for size in shape[-2:])
    plane = (rows[:, None] | columns[None, :]).astype(np.uint8) * 255
    return np.broadcast_to(plane, shape).copy()


def arrows(transform: Transform) -> NDArray[np.float64]:
    """(n, 2, d) starts and ways, some points of the fixed image in rows and columns."""
    shape = transform.fixed.shape
    step = max(1.0, max(shape) / _ARROWS[len(shape)])
    axes = [np.arange((size % step) / 2, size, step) for size in shape]
    starts = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(shape))
    ends = transform.fixed_world.to_index(transform.moving_world.to_world(transform.to_moving(starts)))
    return np.stack([starts, ends - starts], axis=1)


def jacobian_map(transform: Transform, step: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Determinants, and 1 where the field folds, at every `step`-th pixel of the fixed image."""
    from scipy.ndimage import map_coordinates

    axes = [np.arange(0, size, step) for size in transform.fixed.shape]
    pixels = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    places = transform.grid.to_index(
        transform.fixed_world.to_world(pixels.reshape(-1, len(axes)).astype(float))
    )
    matrix, offset = index_to_world(transform.grid)
    turned = orientation(transform.displacement, matrix, offset)
    values = map_coordinates(transform.jacobian() * turned, places.T, order=1, mode="nearest")
    values = values.reshape(pixels.shape[:-1])
    return values.astype(np.float32), (values <= 0).astype(np.uint8)
