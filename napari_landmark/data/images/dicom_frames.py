"""Geometry of a DICOM file of several frames, from the positions of the frames.

ITK takes the frames of any file for an even stack in the order of the file, and their distance from the thickness of
a slice where it finds no other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.data.images.dicom_grid import Plane, grid_geometry, read_plane
from napari_landmark.data.images.dicom_spacing import plane_spacing

if TYPE_CHECKING:
    from pydicom import Dataset

_FILM = ("FrameTime", "FrameTimeVector", "CineRate")
_SLIDE = ("ImageOrientationSlide", "TotalPixelMatrixColumns")
_ONE_VALUE = (  # sequence of a frame, its attribute that must be the same in all frames, and its name in a message
    ("SegmentIdentificationSequence", "ReferencedSegmentNumber", "segments"),
    ("FrameContentSequence", "StackID", "stacks"),
    ("FrameContentSequence", "TemporalPositionIndex", "moments in time"),
    ("MREchoSequence", "EffectiveEchoTime", "echoes"),
    ("PixelMeasuresSequence", "PixelSpacing", "pixel spacings"),
    ("PixelValueTransformationSequence", "RescaleSlope", "scalings of the pixels"),
    ("PixelValueTransformationSequence", "RescaleIntercept", "scalings of the pixels"),
)
_VECTORS = {  # of nuclear medicine: a value for each frame
    "EnergyWindowVector": "energy windows",
    "DetectorVector": "detectors",
    "PhaseVector": "phases",
    "RotationVector": "rotations",
    "RRIntervalVector": "intervals of the heart",
    "TimeSlotVector": "moments in time",
    "AngularViewVector": "angles of view",
    "TimeSliceVector": "moments in time",
}
_POSITIONS = (  # in the patient; of ultrasound, in the volume
    ("PlanePositionSequence", "ImagePositionPatient", "PlaneOrientationSequence", "ImageOrientationPatient"),
    ("PlanePositionVolumeSequence", "ImagePositionVolume", "PlaneOrientationVolumeSequence", "ImageOrientationVolume"),
)  # fmt: skip


def frame_count(header: Dataset) -> int:
    """Number of frames that a header states, 1 where it states none; InputError where that is no number."""
    try:
        return int(header.get("NumberOfFrames") or 1)
    except Exception as error:  # values are understood only now
        raise InputError(f"has a damaged number of frames ({error}): save it again or remove it") from error


def frames_geometry(header: Dataset) -> Geometry:
    """Geometry of the volume [z, y, x] of all frames, in the order of the file.

    Without positions of the frames the distance is `SpacingBetweenSlices`, and unknown without that.

    Raises
    ------
    InputError
        Without the file's name, where the frames are no regular grid: a film, tiles of a slide, several stacks,
        segments, echoes or detectors, the same position twice, gaps, an order other than that of the positions.
    """
    try:
        count, shape = frame_count(header), (int(header.Rows), int(header.Columns))
        _check_one_stack(header, count)
        planes = _planes(header, count)
        if not planes and any(header.get(name) for name in _FILM):
            raise InputError(f"is a film of {count} pictures: save the one that is meant")
        spacing = plane_spacing(header)
        if planes:
            geometry = grid_geometry(planes, shape, spacing, noun="frames")
            # Positions in the volume of an ultrasound are along the axes of the probe.
            groups = header.get("PerFrameFunctionalGroupsSequence") or ()
            of_probe = any(group.get("PlanePositionVolumeSequence") for group in groups)
            return replace(geometry, is_anatomical=not of_probe)
        step = abs(float(header.get("SpacingBetweenSlices") or 0))
        known = spacing is not None and math.isfinite(step) and step > 0
        return Geometry(
            (count, *shape),
            spacing=(step, spacing.row, spacing.column) if known and spacing is not None else None,
            spacing_source=SpacingSource.FILE,
            spacing_plane=spacing.plane if known and spacing is not None else "",
        )
    except InputError:
        raise
    except Exception as error:  # values are understood only now
        raise InputError(
            f"has positions of its frames that cannot be understood ({error}): save it as single slices"
        ) from error


def _check_one_stack(header: Dataset, count: int) -> None:
    """Refuse frames that differ in more than their position."""
    if any(header.get(name) for name in _SLIDE):
        raise InputError(f"holds {count} tiles of a slide: save the slide as one picture")
    for vector, noun in _VECTORS.items():
        values = header.get(vector)
        if isinstance(values, Iterable) and len(set(values)) > 1:
            raise InputError(f"holds several {noun}: save the one that is meant as a file of its own")
    groups = list(header.get("PerFrameFunctionalGroupsSequence") or ())
    for sequence, name, noun in _ONE_VALUE:
        found = {str(value) for group in groups if (value := _value(group, sequence, name)) is not None}
        if len(found) > 1:
            raise InputError(f"holds several {noun}: save the one that is meant as a file of its own")


def _planes(header: Dataset, count: int) -> list[Plane]:
    """Planes of all frames; empty where the file gives no positions."""
    planes = list(_planes_of_groups(header, count)) or list(_planes_of_offsets(header, count))
    if planes and len(planes) != count:
        raise InputError(
            f"gives positions of {len(planes)} of its {count} frames: save it again or as single slices"
        )
    return planes


def _planes_of_groups(header: Dataset, count: int) -> Iterator[Plane]:
    """Planes of an enhanced file, in which every frame has its functional groups."""
    shared = next(iter(header.get("SharedFunctionalGroupsSequence") or ()), None)
    for number, group in enumerate(header.get("PerFrameFunctionalGroupsSequence") or (), 1):
        for position_group, position_name, orientation_group, orientation_name in _POSITIONS:
            position = _value(group, position_group, position_name)
            orientation = _value(group, orientation_group, orientation_name)
            if orientation is None and shared is not None:
                orientation = _value(shared, orientation_group, orientation_name)
            if position is not None and orientation is not None:
                yield read_plane(str(number), position, orientation)
                break


def _planes_of_offsets(header: Dataset, count: int) -> Iterator[Plane]:
    """Planes of a dose (offsets of the frames) or of nuclear medicine (a step between the slices)."""
    detectors = header.get("DetectorInformationSequence") or ()
    own = header if header.get("ImagePositionPatient") else next(iter(detectors), None)
    if own is None or not (own.get("ImagePositionPatient") and own.get("ImageOrientationPatient")):
        return
    first = read_plane("1", own.ImagePositionPatient, own.ImageOrientationPatient)
    along = first.normal
    offsets = header.get("GridFrameOffsetVector")
    if offsets is not None:
        depths = np.array([float(value) for value in offsets])
        if depths[0] != 0:  # z in the patient instead of offsets (DICOM PS3.3, C.8.8.3.2)
            depths, along = depths - depths[0], np.array([0.0, 0.0, 1.0])
    elif header.get("SpacingBetweenSlices"):
        depths = float(header.SpacingBetweenSlices) * np.arange(count)
    else:
        return
    for number, depth in enumerate(depths, 1):
        yield Plane(str(number), first.position + depth * along, first.axes)


def _value(group: Dataset, sequence: str, name: str) -> Any:
    """Attribute of the first item of a functional group, None where there is none."""
    item = next(iter(group.get(sequence) or ()), None)
    return None if item is None else item.get(name)
