"""Several subjects in one image, such as two hands on one film: each is found in a part of the image of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.cohort.working_grid import fit_canvas_transform, pose_of_transform
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.detection.model.detection import Detection

_MOST_MISSING = 0.25  # part of the landmarks that a part of an image with a subject of its own may lack
_LEAST_SIZE = 0.6  # of a subject, relative to another one in the same image

Box = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Low and high edges (2,), index coordinates; the first pixel reaches from -0.5 to 0.5."""
Detect = Callable[[MedicalImage], Detection]
"""Detection, with a judgement, in an image as a whole."""


def find_in_halves(image: MedicalImage, canvas: tuple[int, ...], detect: Detect) -> Detection | None:
    """Detect in both halves of a picture that the anatomy is not found in as a whole.

    Volumes are left alone: of them one study shows one subject.

    Parameters
    ----------
    image : MedicalImage
    canvas : tuple of int
        Shape of the working grid that poses are relative to.
    detect : callable

    Returns
    -------
    Detection or None
        That of the half in which it is found best, with the `subjects` of both, if the anatomy is found in both halves
        along one axis; else None.
    """
    if image.geometry.ndim != 2:
        return None
    shape = image.geometry.shape
    for axis in sorted(range(2), key=lambda axis: -shape[axis]):
        middle = shape[axis] // 2
        first = _detect_part(image, axis, slice(0, middle), canvas, detect)
        if first is None:
            continue
        second = _detect_part(image, axis, slice(middle, shape[axis]), canvas, detect)
        if second is not None:
            return _several([first, second])
    return None


def find_beside(
    image: MedicalImage,
    found: Detection,
    *,
    frame: Box,
    content: Box,
    canvas: tuple[int, ...],
    detect: Detect,
) -> Detection | None:
    """Detect beside a subject that was found in a part of a picture.

    Parameters
    ----------
    image : MedicalImage
    found : Detection
    frame : Box
        Part of the image around the subject that is as large as what the template shows.
    content : Box
        Part of the image inside its uniform borders.
    canvas : tuple of int
        Shape of the working grid that poses are relative to.
    detect : callable

    Returns
    -------
    Detection or None
        `found` with the `subjects` of all parts beside it in which the anatomy is found too; None without any.
    """
    if image.geometry.ndim != 2 or not _is_whole(found.landmarks):
        return None
    others = [_detect_part(image, axis, part, canvas, detect) for axis, part in _parts_beside(frame, content)]
    subjects = [found, *(other for other in others if other is not None)]
    return _several(subjects) if len(subjects) > 1 else None


def _parts_beside(frame: Box, content: Box) -> list[tuple[int, slice]]:
    """Axis and extent of the strips of the content beside a frame in which another subject has room."""
    (low, high), (first, last) = frame, content
    parts = []
    for axis in range(2):
        across = 1 - axis
        if last[across] - first[across] < _LEAST_SIZE * (high - low)[across]:
            continue
        for start, stop in ((first[axis], low[axis]), (high[axis], last[axis])):
            if stop - start >= _LEAST_SIZE * (high - low)[axis]:
                parts.append((axis, slice(max(0, round(start + 0.5)), round(stop + 0.5))))
    return parts


def _detect_part(
    image: MedicalImage, axis: int, part: slice, canvas: tuple[int, ...], detect: Detect
) -> Detection | None:
    """Detection in a part of an image, in coordinates and the pose of the whole; None where nothing is found in it."""
    index = tuple(part if a == axis else slice(None) for a in range(2))
    pixels = image.array[index]
    geometry = Geometry(pixels.shape, image.geometry.spacing)
    found = detect(MedicalImage(pixels, geometry, image.name))
    if not _is_whole(found.landmarks):
        return None
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
    transform = fit_canvas_transform(geometry, canvas, found.pose)
    pose = pose_of_transform(replace(transform, offset=transform.offset + offset), image.geometry)
    return replace(found, landmarks=landmarks, heatmap_offset=found.heatmap_offset + offset, pose=pose)


def _is_whole(landmarks: LandmarkSet) -> bool:
    missing = sum(mark.status is Status.PREDICTED_MISSING for mark in landmarks.values())
    return landmarks.image_state is ImageState.FOUND and missing <= _MOST_MISSING * len(landmarks)


def _several(found: list[Detection]) -> Detection:
    """The detection of the least expected error, with the landmarks of all."""
    ranked = sorted(found, key=lambda detection: float(np.nanmean(detection.landmarks.expected_errors())))
    subjects = tuple(_as_several(detection.landmarks) for detection in ranked)
    return replace(ranked[0], landmarks=subjects[0], subjects=subjects)


def _as_several(landmarks: LandmarkSet) -> LandmarkSet:
    return LandmarkSet(landmarks.schema, landmarks.values(), image_state=ImageState.SEVERAL)
