"""Reading NIfTI, NRRD, MetaImage and DICOM. Used through `napari_landmark.data.images.image`."""

from __future__ import annotations

import dataclasses
import gzip
import math
import os
import re
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.data.images.dicom_lengths import check_dicom_lengths
from napari_landmark.data.images.dicom_spacing import with_dicom_spacing
from napari_landmark.data.images.itk_header import check_header, is_packed, says_spacing
from napari_landmark.data.images.luminance import luminance
from napari_landmark.data.images.memory_limit import check_fits

# ITK writes its warnings straight to the terminal; what matters of them is raised here as an InputError.
sitk.ProcessObject.SetGlobalWarningDisplay(False)


def read_header(path: Path) -> Geometry:
    """Geometry without reading the pixels."""
    reader = _opened(path)
    return _geometry(reader, path)


def read_pixels(path: Path) -> tuple[NDArray, Geometry]:
    """Luminance and geometry."""
    reader = _opened(path)
    geometry = _geometry(reader, path)
    _check_length(reader, path)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(_reason(error)) from error
    array = sitk.GetArrayFromImage(image)
    components = image.GetNumberOfComponentsPerPixel()
    if components > 1:
        array = luminance(array)
    return np.ascontiguousarray(array.reshape(geometry.shape)), geometry


def _opened(path: Path) -> sitk.ImageFileReader:
    check_header(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    if _is_dicom(path):
        check_dicom_lengths(path)
        reader.SetImageIO("GDCMImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(_reason(error)) from error
    components = reader.GetNumberOfComponents()
    if components not in (1, 3, 4) or "complex" in sitk.GetPixelIDValueAsString(reader.GetPixelID()):
        raise InputError(
            f"holds {components} values or complex ones in every pixel: save one channel as an image"
        )
    # ITK's own image and the array copied out of it; of colours also the numbers that they are mixed in.
    pixel = components * _bytes_of_number(reader)
    check_fits(reader.GetSize()[::-1], 2 * pixel + (4 * components + 8) * (components > 1))
    return reader


def _bytes_of_number(reader: sitk.ImageFileReader) -> int:
    smallest = sitk.Image([1, 1], reader.GetPixelID(), reader.GetNumberOfComponents())
    return smallest.GetSizeOfPixelComponent()


def _geometry(reader: sitk.ImageFileReader, path: Path) -> Geometry:
    """Geometry in array axis order, single slices dropped."""
    size = reader.GetSize()
    if len(size) < 2:
        raise InputError(f"is only a row of {size[0]} values: give a picture or a volume")
    kept = [axis for axis, length in enumerate(size) if length > 1]
    if len(kept) > 3:
        count = " x ".join(map(str, size))
        raise InputError(
            f"is a series of volumes ({count}): save the volume that is meant as a file of its own"
        )
    if len(kept) < 2:
        kept = [0, 1]
    kept.reverse()
    spacing = tuple(reader.GetSpacing()[axis] for axis in kept)
    direction = np.reshape(reader.GetDirection(), (len(size), len(size)))[np.ix_(kept, kept)]
    if not np.allclose(direction @ direction.T, np.eye(len(kept)), atol=1e-3):
        direction = np.eye(len(kept))  # a slice across the volume: its plane becomes the world
    geometry = Geometry(
        shape=tuple(size[axis] for axis in kept),
        spacing=spacing,
        origin=tuple(reader.GetOrigin()[axis] for axis in kept),
        direction=tuple(map(tuple, direction.tolist())),
        spacing_source=SpacingSource.FILE,
    )
    if _is_dicom(path):
        return with_dicom_spacing(geometry, path)
    return geometry if says_spacing(path) else dataclasses.replace(geometry, spacing=None)


def _is_dicom(path: Path) -> bool:
    return not path.name.lower().endswith((".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"))


def _reason(error: RuntimeError) -> str:
    """One line out of ITK's several."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    detail = lines[-1] if lines else "no reason given"
    if "Unable to determine ImageIO reader" in detail:
        return "is not an image of the kind its name says: save it again or remove it"
    # ITK puts the file, its own class with an address, and the system's last error (of whatever) around it.
    detail = re.sub(r"^.*?(sitk::ERROR|Error|ERROR):\s*|\w+\(0x[0-9a-f]+\):\s*", "", detail)
    if "orthonormal" in detail:
        return "has axes that are not at right angles (sheared): resample it onto a grid that is not"
    if "allocate memory" in detail:
        return "does not fit into the memory that is free: close other programs or save a smaller one"
    if detail.startswith("Reason:"):
        detail = "it ends too early or its pixels are not there"
    return f"cannot be read, it seems damaged ({detail}): save it again or remove it"


def _check_length(reader: sitk.ImageFileReader, path: Path) -> None:
    """Refuse a file that ends too early.

    For NIfTI ITK fills the rest with zeros and says nothing; for MetaImage it writes to the terminal.
    """
    name = path.name.lower()
    if reader.HasMetaDataKey("vox_offset") and reader.HasMetaDataKey("bitpix"):
        start, bits = (float(reader.GetMetaData(key)) for key in ("vox_offset", "bitpix"))
        needed = int(start) + math.prod(reader.GetSize()) * int(bits) // 8
    elif name.endswith(".mha"):
        needed = _length_of_metaimage(reader, path)
    else:
        return
    if _length(path, needed) < needed:
        raise InputError("ends too early, it seems damaged: save it again or remove it")


def _length_of_metaimage(reader: sitk.ImageFileReader, path: Path) -> int:
    """How long an uncompressed MetaImage must be; 0 where it is compressed, which ITK checks."""
    with path.open("rb") as stream:
        head = stream.read(65_536)
    start = re.search(rb"(?m)^ElementDataFile\s*=\s*LOCAL\s*?\n", head)
    if start is None or re.search(rb"(?mi)^CompressedData\s*=\s*True", head):
        return 0
    numbers = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
    return start.end() + numbers * _bytes_of_number(reader)


def _length(path: Path, needed: int) -> int:
    """Length of a file, unpacked where it is packed."""
    if not is_packed(path):
        return path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(-4, os.SEEK_END)
        if int.from_bytes(stream.read(), "little") == needed % 2**32:
            return needed  # a packed file ends with its length; only what has something behind is unpacked
    length = 0
    try:
        with gzip.open(path) as stream:
            while block := stream.read(1 << 20):
                length += len(block)
    except (EOFError, OSError, zlib.error):
        return 0
    return length
