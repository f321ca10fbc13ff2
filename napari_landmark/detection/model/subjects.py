"""Several subjects in one image, such as two hands on one film: told by finding the anatomy in each half."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.detection.model.detection import Detection

_MOST_MISSING = 0.25  # part of the landmarks that half of an image with a subject of its own may lack


def find_subjects(image: MedicalImage, detect: Callable[[MedicalImage], Detection]) -> Detection | None:
    """Detect in both halves of a picture that the anatomy is not found in as a whole.

    Volumes are left alone: of them one study shows one subject.

    Parameters
    ----------
    image : MedicalImage
    detect : callable
        Detection, with a judgement, in an image as a whole.

    Returns
    -------
    Detection or None
        That of the half in which it is found best, with the `subjects` of both, if the anatomy is found in both halves
        along one axis; else None.
    """
    if image.geometry.ndim != 2:
        return None
    for axis in sorted(range(2), key=lambda axis: -image.geometry.shape[axis]):
        halves = [_detect_part(image, axis, part, detect) for part in _halves(image.geometry.shape[axis])]
        if all(_is_whole(half.landmarks) for half in halves):
            best, other = sorted(halves, key=lambda half: float(np.nanmean(half.landmarks.expected_errors())))
            subjects = tuple(_as_several(half.landmarks) for half in (best, other))
            return replace(best, landmarks=subjects[0], subjects=subjects)
    return None


def _halves(size: int) -> tuple[slice, slice]:
    return slice(0, size // 2), slice(size // 2, size)


def _detect_part(
    image: MedicalImage, axis: int, part: slice, detect: Callable[[MedicalImage], Detection]
) -> Detection:
    """Detection in a part of an image, in coordinates of the whole."""
    index = tuple(part if a == axis else slice(None) for a in range(2))
    pixels = image.array[index]
    spacing = image.geometry.spacing
    found = detect(MedicalImage(pixels, Geometry(pixels.shape, spacing), image.name))
    offset = np.zeros(2)
    offset[axis] = part.start
    marks = found.landmarks
    moved = (
        mark
        if mark.position is None
        else replace(mark, position=tuple((np.array(mark.position) + offset).tolist()))
        for mark in marks.values()
    )
    landmarks = LandmarkSet(marks.schema, moved, image_state=marks.image_state)
    return replace(found, landmarks=landmarks, heatmap_offset=found.heatmap_offset + offset)


def _is_whole(landmarks: LandmarkSet) -> bool:
    missing = sum(mark.status is Status.PREDICTED_MISSING for mark in landmarks.values())
    return landmarks.image_state is ImageState.FOUND and missing <= _MOST_MISSING * len(landmarks)


def _as_several(landmarks: LandmarkSet) -> LandmarkSet:
    return LandmarkSet(landmarks.schema, landmarks.values(), image_state=ImageState.SEVERAL)
