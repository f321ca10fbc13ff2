"""DICOM files and folders of slices, made for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from scipy.spatial.transform import Rotation

SLOPE = (np.add.outer(np.arange(16) * 130, np.arange(20) * 60)).astype(np.uint16)  # 0 to 3090
STRAIGHT = np.eye(3)


VOLUME = np.random.default_rng(1).integers(0, 4000, (6, 12, 10)).astype(np.uint16)
TURNED = Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix()


def save(
    path: Path, array: np.ndarray, *, syntax: str | None = None, frames: bytes | None = None, **tags
) -> Path:
    """A DICOM file with these pixels and tags; `frames` are pixels packed in the way that `syntax` says."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = syntax or pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    data = pydicom.Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality = "CR"
    data.Rows, data.Columns = array.shape[:2]
    data.SamplesPerPixel = 3 if array.ndim == 3 else 1
    data.PhotometricInterpretation = "RGB" if array.ndim == 3 else "MONOCHROME2"
    if array.ndim == 3:
        data.PlanarConfiguration = 0
    bits = 8 * array.dtype.itemsize
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, 12 if bits == 16 else 8, 11 if bits == 16 else 7
    data.PixelRepresentation = 0
    if frames is None:
        data.PixelData = array.tobytes()
    else:
        data.PixelData = encapsulate([frames])
        data["PixelData"].is_undefined_length = True
    for tag, value in tags.items():
        setattr(data, tag, value)
    data.save_as(path, enforce_file_format=True)
    return path


def save_series(
    folder: Path,
    volume: np.ndarray,
    *,
    rotation: np.ndarray = STRAIGHT,
    origin: tuple[float, ...] = (10, 20, 30),
    spacing: tuple[float, float, float] = (2.5, 0.5, 0.75),
    tilt: float = 0.0,
    uid: str = "1.2.3",
) -> dict[str, np.ndarray]:
    """A volume [z, y, x] as slices named at random; the position in mm (x, y, z) of every file's first pixel."""
    folder.mkdir(exist_ok=True)
    columns, rows, normal = rotation.T  # x index, y index, z index run along these
    names = np.random.default_rng(0).permutation(len(volume))
    positions = {}
    for number, picture in enumerate(volume):
        position = np.asarray(origin) + number * spacing[0] * normal + number * tilt * rows
        name = f"IM{names[number]:04d}"
        save(
            folder / name,
            picture,
            Modality="CT",
            SeriesInstanceUID=uid,
            PixelSpacing=[f"{spacing[1]:.10g}", f"{spacing[2]:.10g}"],
            SliceThickness=9,  # not how far slices are apart
            InstanceNumber=int(names[number]),  # nor in which order they lie
            ImagePositionPatient=[f"{value:.10g}" for value in position],
            ImageOrientationPatient=[f"{value:.10g}" for value in (*columns, *rows)],
        )
        positions[name] = position
    return positions


def group(**attributes) -> pydicom.Sequence:
    """A sequence of one item with these attributes."""
    item = pydicom.Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return pydicom.Sequence([item])


def save_frames(
    path: Path,
    volume: np.ndarray,
    positions: list[tuple[float, float, float]],
    *,
    rotation: np.ndarray = STRAIGHT,
    frames: list[dict] | None = None,
    **tags,
) -> Path:
    """A multi-frame file of a volume [frame, y, x]; `frames` holds further functional groups of each frame."""
    shared, per_frame = pydicom.Dataset(), []
    shared.PixelMeasuresSequence = group(PixelSpacing=[0.5, 0.75], SliceThickness=9)
    shared.PlaneOrientationSequence = group(
        ImageOrientationPatient=[f"{value:.10g}" for value in rotation.T[:2].ravel()]
    )
    for number, position in enumerate(positions):
        one = pydicom.Dataset()
        one.PlanePositionSequence = group(ImagePositionPatient=[f"{value:.10g}" for value in position])
        for name, value in (frames[number] if frames else {}).items():
            setattr(one, name, value)
        per_frame.append(one)
    return save(
        path,
        volume[0],
        Modality="MR",
        NumberOfFrames=len(volume),
        PixelData=volume.tobytes(),
        SharedFunctionalGroupsSequence=pydicom.Sequence([shared]),
        PerFrameFunctionalGroupsSequence=pydicom.Sequence(per_frame),
        **tags,
    )
