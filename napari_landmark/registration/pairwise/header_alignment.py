"""Alignment of two images by their headers: the state before a registration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.cohort.working_grid import canonical_axes
from napari_landmark.data.geometry import Geometry
from napari_landmark.registration.transform.grids import check_alike, index_to_world, world_geometry
from napari_landmark.registration.transform.transform import Transform


def header_alignment(fixed: Geometry, moving: Geometry) -> Transform:
    """Align two images without their intensities.

    The identity of world coordinates if both spacings are known and the images overlap in the world; else the fixed
    image is scaled to the moving one, corner to corner, and the axes of volumes correspond by their directions.

    Raises
    ------
    InputError
        A picture with a volume.
    """
    check_alike(fixed, moving)
    if fixed.has_spacing and moving.has_spacing and _overlap(fixed, moving):
        return Transform.identity(fixed, moving)
    return _corner_to_corner(fixed, moving)


def _overlap(fixed: Geometry, moving: Geometry) -> bool:
    """Whether the bounding boxes of the images in the world overlap."""
    (low_f, high_f), (low_m, high_m) = _box(fixed), _box(moving)
    return bool((np.minimum(high_f, high_m) > np.maximum(low_f, low_m)).all())


def _box(geometry: Geometry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ends = np.stack(np.meshgrid(*([-0.5, size - 0.5] for size in geometry.shape)), axis=-1)
    corners = geometry.to_world(ends.reshape(-1, geometry.ndim))
    return corners.min(axis=0), corners.max(axis=0)


def _corner_to_corner(fixed: Geometry, moving: Geometry) -> Transform:
    axes_f, signs_f = canonical_axes(fixed)
    axes_m, signs_m = canonical_axes(moving)
    sizes_f, sizes_m = np.asarray(fixed.shape), np.asarray(moving.shape)
    matrix = np.zeros((fixed.ndim, fixed.ndim))
    for axis_f, sign_f, axis_m, sign_m in zip(axes_f, signs_f, axes_m, signs_m, strict=True):
        matrix[axis_m, axis_f] = sign_f * sign_m * sizes_m[axis_m] / sizes_f[axis_f]
    # Centre on centre in index coordinates, then the same map in world coordinates.
    offset = (sizes_m - 1) / 2 - matrix @ ((sizes_f - 1) / 2)
    to_world_f, origin_f = index_to_world(world_geometry(fixed))
    to_world_m, origin_m = index_to_world(world_geometry(moving))
    in_world = to_world_m @ matrix @ np.linalg.inv(to_world_f)
    shift = to_world_m @ offset + origin_m - in_world @ origin_f
    return Transform.affine(in_world, shift, fixed=fixed, moving=moving)
