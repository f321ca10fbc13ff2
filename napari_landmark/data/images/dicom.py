"""Reader of a DICOM file: a picture, or a volume of several frames. Header by pydicom, pixels by GDCM in SimpleITK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.dicom_frames import frame_count, frames_geometry
from napari_landmark.data.images.dicom_header import dicom_header, is_dicom
from napari_landmark.data.images.dicom_spacing import with_dicom_spacing
from napari_landmark.data.images.image_reader import is_file_named
from napari_landmark.data.images.itk_file import itk_geometry, itk_luminance, itk_reader, open_itk

SUFFIXES: tuple[str, ...] = (".dcm", ".dicom")
_GDCM = "GDCMImageIO"


def accepts(path: Path) -> bool:
    """Whether the file has the name of a DICOM file, or its mark."""
    return is_file_named(path, SUFFIXES) or is_dicom(path)


def read_header(path: Path) -> Geometry:
    """Geometry without decoding the pixels, with the spacing of DICOM's own attributes."""
    return _opened(path)[1]


def read_pixels(path: Path) -> tuple[NDArray, Geometry]:
    """Luminance and geometry."""
    return _read(path, colours=True)


def read_labels(path: Path) -> tuple[NDArray, Geometry]:
    """Values of a label map and its geometry; InputError for colours."""
    return _read(path, colours=False)


def read_frame(path: Path, *, colours: bool = True) -> NDArray:
    """Luminance [y, x] of a file of one frame, whose header `dicom_header` has checked.

    Without `colours`, colours are refused (InputError).
    """
    array = itk_luminance(itk_reader(path, image_io=_GDCM), colours=colours)
    return np.ascontiguousarray(array[0] if array.ndim == 3 and len(array) == 1 else array)


def _read(path: Path, *, colours: bool) -> tuple[NDArray, Geometry]:
    reader, geometry = _opened(path)
    return np.ascontiguousarray(itk_luminance(reader, colours=colours).reshape(geometry.shape)), geometry


def _opened(path: Path) -> tuple[Any, Geometry]:
    header = dicom_header(path)
    geometry = frames_geometry(header) if frame_count(header) > 1 else None
    reader = open_itk(path, image_io=_GDCM)
    if geometry is None:
        return reader, with_dicom_spacing(itk_geometry(reader), header)
    if reader.GetSize() != geometry.shape[::-1]:
        raise InputError(
            "has other frames than its header says, it seems damaged: save it again or remove it"
        )
    return reader, geometry
