"""Quality metrics of a registered pair: correlation, Dice, distance of landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.metrics import dice
from napari_landmark.registration.transform.transform import Transform


@dataclass(frozen=True)
class LandmarkErrors:
    """Distances between the landmarks of the fixed image and the warped ones of the moving image.

    Attributes
    ----------
    px : dict of str to float
        In pixels of the fixed image, by name.
    mm : dict of str to float or None
        None if the spacing of the fixed image is not known.
    lost : tuple of str
        Landmarks of the moving image that no point of the fixed one maps to; measured in the moving image.
    """

    px: dict[str, float]
    mm: dict[str, float] | None
    lost: tuple[str, ...] = ()


def warped_dice(
    transform: Transform, fixed_labels: NDArray[np.integer], moving_labels: NDArray[np.integer]
) -> dict[int, float]:
    """Dice of the fixed and the warped moving label map, by label, for the labels of at least one of them."""
    return dice(fixed_labels, transform.warp_labels(moving_labels))


def correlation(transform: Transform, fixed: MedicalImage, moving: MedicalImage) -> float | None:
    """Pearson correlation of the fixed and the warped moving image where they overlap; None if one is constant."""
    warped = transform.warp_image(moving).array
    inside = transform.warp_labels(np.ones(moving.array.shape, np.uint8)) > 0
    a, b = (array[inside].astype(np.float64) for array in (fixed.array, warped))
    if a.size == 0 or a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def landmark_errors(transform: Transform, fixed: LandmarkSet, moving: LandmarkSet) -> LandmarkErrors:
    """Measure the distances, in the fixed image, of the landmarks that have a position in both images."""
    names = [
        name
        for name, mark in fixed.items()
        if mark.position is not None and name in moving and moving[name].position is not None
    ]
    ndim = transform.fixed.ndim
    in_fixed = np.array([fixed[name].position for name in names], dtype=np.float64).reshape(-1, ndim)
    in_moving = np.array([moving[name].position for name in names], dtype=np.float64).reshape(-1, ndim)
    warped = transform.to_fixed(in_moving)
    lost = np.asarray(np.isnan(warped).any(axis=1))
    px, mm = _distances(warped, in_fixed, transform.fixed_world)
    if lost.any():
        px_moving, mm_moving = _distances(transform.to_moving(in_fixed), in_moving, transform.moving_world)
        px, mm = np.where(lost, px_moving, px), np.where(lost, mm_moving, mm)
    return LandmarkErrors(
        dict(zip(names, px.tolist(), strict=True)),
        dict(zip(names, mm.tolist(), strict=True)) if transform.fixed.has_spacing else None,
        tuple(name for name, is_lost in zip(names, lost, strict=True) if is_lost),
    )


def _distances(a: NDArray, b: NDArray, world: Geometry) -> tuple[NDArray, NDArray]:
    """Distances (n,) of index positions (n, d) in pixels and in the unit of the world."""
    return np.linalg.norm(a - b, axis=1), np.linalg.norm(world.to_world(a) - world.to_world(b), axis=1)
