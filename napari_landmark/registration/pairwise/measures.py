"""What is known of how well one image lies over another: similarity, overlap of regions, distance of landmarks."""

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
    """Distances between the landmarks of the fixed image and those carried over from the moving one.

    Attributes
    ----------
    px : dict of str to float
        In pixels of the fixed image, by name.
    mm : dict of str to float or None
        None where the spacing of the fixed image is not known.
    lost : tuple of str
        Landmarks which no point of the fixed image is carried to; their error is measured in the moving image.
    """

    px: dict[str, float]
    mm: dict[str, float] | None
    lost: tuple[str, ...] = ()


def warped_dice(
    transform: Transform, fixed_labels: NDArray[np.integer], moving_labels: NDArray[np.integer]
) -> dict[int, float]:
    """Dice of each label of the two maps after the moving one was warped; labels of neither are left out."""
    return dice(fixed_labels, transform.warp_labels(moving_labels))


def correlation(transform: Transform, fixed: MedicalImage, moving: MedicalImage) -> float | None:
    """Pearson correlation of the fixed and the warped moving image where both are, None where one is constant."""
    warped = transform.warp_image(moving).array
    inside = transform.warp_labels(np.ones(moving.array.shape, np.uint8)) > 0
    a, b = (array[inside].astype(np.float64) for array in (fixed.array, warped))
    if a.size == 0 or a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def landmark_errors(transform: Transform, fixed: LandmarkSet, moving: LandmarkSet) -> LandmarkErrors:
    """How far the landmarks that have a position in both images are apart in the fixed one."""
    names = [
        name
        for name, mark in fixed.items()
        if mark.position is not None and name in moving and moving[name].position is not None
    ]
    ndim = transform.fixed.ndim
    there = np.array([fixed[name].position for name in names], dtype=np.float64).reshape(-1, ndim)
    given = np.array([moving[name].position for name in names], dtype=np.float64).reshape(-1, ndim)
    carried = transform.to_fixed(given)
    lost = np.isnan(carried).any(axis=1)
    px, mm = _distances(carried, there, transform.fixed_world)
    if lost.any():
        px_moving, mm_moving = _distances(transform.to_moving(there), given, transform.moving_world)
        px, mm = np.where(lost, px_moving, px), np.where(lost, mm_moving, mm)
    return LandmarkErrors(
        dict(zip(names, px.tolist(), strict=True)),
        dict(zip(names, mm.tolist(), strict=True)) if transform.fixed.has_spacing else None,
        tuple(name for name, gone in zip(names, lost, strict=True) if gone),
    )


def _distances(a: NDArray, b: NDArray, world: Geometry) -> tuple[NDArray, NDArray]:
    return np.linalg.norm(a - b, axis=1), np.linalg.norm(world.to_world(a) - world.to_world(b), axis=1)
