"""Landmarks of a volume in three planes each, for the report of a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from napari_landmark.data.images.display import display_range, scale_to_unit
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.planes import Plane, orthogonal_planes

_SIDE = 132  # pixels of a picture
_PART = 0.45  # of the longest side of the volume that a picture shows
_MOST_LANDMARKS = 3  # of a volume
_GAP, _ARM = 5, 12  # pixels of the cross, which leaves the landmark itself free


@dataclass(frozen=True, eq=False)
class LandmarkPlanes:
    """A landmark in the three planes through it.

    Parameters
    ----------
    name : str
    color : str
    expected_error : float or None
        In voxels.
    pictures : dict of str to (side, side, 3) array of uint8
        By the title of the plane; the landmark is in the middle.
    """

    name: str
    color: str
    expected_error: float | None
    pictures: dict[str, NDArray[np.uint8]]


def doubtful_landmarks(landmarks: LandmarkSet) -> list[str]:
    """Names of the landmarks with the largest expected error, the largest first; of an annotation the first ones."""
    placed = [mark for mark in landmarks.values() if mark.position is not None]
    placed.sort(key=lambda mark: -(mark.expected_error if mark.expected_error is not None else math.inf))
    return [mark.name for mark in placed[:_MOST_LANDMARKS]]


def landmark_planes(
    image: MedicalImage, landmarks: LandmarkSet, names: Sequence[str] | None = None
) -> list[LandmarkPlanes]:
    """Draw landmarks of a volume, each in three planes through it, true to the size of the voxels.

    Parameters
    ----------
    image : MedicalImage
        A volume.
    landmarks : LandmarkSet
        In index coordinates of the volume.
    names : sequence of str, optional
        The landmarks to draw; all by default. Those without a position are left out.
    """
    planes = orthogonal_planes(image.geometry)
    limits = display_range(image.array)
    spacing = image.geometry.spacing or (1.0, 1.0, 1.0)
    width = _PART * max(np.multiply(image.geometry.shape, spacing))
    colors = dict(zip(landmarks.schema.names, landmarks.schema.colors, strict=True))
    drawn = []
    for name in landmarks if names is None else names:
        mark = landmarks[name]
        if mark.position is None:
            continue
        pictures = {
            plane.title: _picture(image.array, plane, mark.position, width, limits, colors[name])
            for plane in planes
        }
        drawn.append(LandmarkPlanes(name, colors[name], mark.expected_error, pictures))
    return drawn


def _picture(
    array: NDArray,
    plane: Plane,
    position: Sequence[float],
    width: float,
    limits: tuple[float, float],
    color: str,
) -> NDArray[np.uint8]:
    """(side, side, 3) part of the slice through a position, with a cross around it; beyond the volume it is black."""
    index = min(max(round(position[plane.axis]), 0), array.shape[plane.axis] - 1)
    row, column = plane.to_plane([position])[0]
    steps = (np.arange(_SIDE) - (_SIDE - 1) / 2) * width / _SIDE
    rows, columns = np.meshgrid(
        row + steps / plane.spacing[0], column + steps / plane.spacing[1], indexing="ij"
    )
    grey = map_coordinates(
        plane.slice(array, index),
        (rows, columns),
        order=1,
        mode="constant",
        cval=limits[0],
        output=np.float32,
    )
    picture = np.repeat((255 * scale_to_unit(grey, limits)).astype(np.uint8)[..., None], 3, axis=-1)
    middle = _SIDE // 2
    rgb = tuple(bytes.fromhex(color.removeprefix("#")))
    for first, last in ((middle - _ARM, middle - _GAP), (middle + _GAP, middle + _ARM)):
        picture[first:last, middle - 1 : middle + 1] = rgb
        picture[middle - 1 : middle + 1, first:last] = rgb
    return picture
