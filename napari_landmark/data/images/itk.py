"""Reader of NRRD and MetaImage, by SimpleITK."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image_reader import is_file_named
from napari_landmark.data.images.itk_file import bytes_of_number, itk_geometry, itk_luminance, open_itk
from napari_landmark.data.images.itk_header import (
    check_samples,
    checked_header,
    millimetres,
    says_anatomy,
    says_spacing,
)

SUFFIXES: tuple[str, ...] = (".nrrd", ".nhdr", ".mha", ".mhd")


def accepts(path: Path) -> bool:
    """Whether the file has the name of an NRRD or a MetaImage."""
    return is_file_named(path, SUFFIXES)


def read_header(path: Path) -> Geometry:
    """Geometry without reading the pixels; the spacing is unknown where the header holds none."""
    return _opened(path)[2]


def read_pixels(path: Path) -> tuple[NDArray, Geometry]:
    """Luminance and geometry."""
    return _read(path, colours=True)


def read_labels(path: Path) -> tuple[NDArray, Geometry]:
    """Values of a label map and its geometry; InputError for colours."""
    return _read(path, colours=False)


def _read(path: Path, *, colours: bool) -> tuple[NDArray, Geometry]:
    head, reader, geometry = _opened(path)
    if path.name.lower().endswith(".mha"):
        _check_length(path, head, reader)
    return np.ascontiguousarray(itk_luminance(reader, colours=colours).reshape(geometry.shape)), geometry


def _opened(path: Path) -> tuple[bytes, Any, Geometry]:
    """Text of the header, SimpleITK's reader and the geometry."""
    import SimpleITK as sitk

    head = checked_header(path)
    reader = open_itk(path)
    is_byte = reader.GetPixelID() in (sitk.sitkUInt8, sitk.sitkVectorUInt8)
    check_samples(head, count=reader.GetNumberOfComponents(), is_byte=is_byte)
    geometry = itk_geometry(reader)
    geometry = dataclasses.replace(geometry, is_anatomical=geometry.ndim == 3 and says_anatomy(head))
    unit = millimetres(head)
    if not says_spacing(head) or geometry.spacing is None:
        geometry = dataclasses.replace(geometry, spacing=None)
    elif unit != 1:
        geometry = dataclasses.replace(
            geometry,
            spacing=tuple(value * unit for value in geometry.spacing),
            origin=tuple(value * unit for value in geometry.origin),
        )
    return head, reader, geometry


def _check_length(path: Path, head: bytes, reader: Any) -> None:
    """Refuse an uncompressed MetaImage that ends too early, of which ITK writes to the terminal."""
    start = re.search(rb"(?m)^ElementDataFile\s*=\s*LOCAL\s*?\n", head)
    if start is None or re.search(rb"(?mi)^CompressedData\s*=\s*True", head):
        return
    numbers = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
    if path.stat().st_size < start.end() + numbers * bytes_of_number(reader):
        raise InputError("ends too early, it seems damaged: save it again or remove it")
