"""Read an image of any kind from a file or a folder of DICOM slices."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images import dicom, dicom_series, itk, nifti, raster, tiff
from napari_landmark.data.images.image_reader import ImageReader
from napari_landmark.data.images.library_warnings import logged_warnings

logger = logging.getLogger(__name__)

# The first that accepts a file reads it: TIFF before the other pictures, which share its suffixes; DICOM last, which
# opens files of unknown suffix to look for its mark.
_READERS: tuple[ImageReader, ...] = (tiff, raster, nifti, itk, dicom_series, dicom)
IMAGE_SUFFIXES: tuple[str, ...] = tuple(
    dict.fromkeys(suffix for reader in _READERS for suffix in reader.SUFFIXES)
)
"""Ends of the names of files that are taken for images, in lower case. DICOM is known by its content, too."""


@dataclass(frozen=True, eq=False)
class MedicalImage:
    """Pixels of an image as stored, with their geometry.

    Parameters
    ----------
    array : array
        Luminance [y, x] or [z, y, x] in the type the file has.
    geometry : Geometry
        Spacing, origin and direction; its shape is the array's (ValueError otherwise).
    name : str
        Name of the file, relative to the cohort's folder, with '/' between folders.
    """

    array: NDArray
    geometry: Geometry
    name: str

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise ValueError(f"an array of shape {self.array.shape} with a geometry of {self.geometry.shape}")


def read_image(
    path: str | Path, *, spacing: float | Sequence[float] | None = None, name: str | None = None
) -> MedicalImage:
    """Read one image: a file, or a folder that holds the slices of one DICOM series.

    Pictures (PNG, JPEG, BMP, GIF, TIFF) have no known spacing: their dots per inch describe a screen or a
    printer. Pages of equal size in a TIFF are the slices of a volume. Colours become luminance, one
    slice of a volume becomes a picture. Values that are not finite become the smallest finite one.

    Parameters
    ----------
    path : str or Path
        The file or folder.
    spacing : float or sequence of float, optional
        Millimetres per pixel, used instead of what the file says.
    name : str, optional
        Name of the image; the file's name by default.

    Raises
    ------
    InputError
        Where the file is not an image that can be used; it names the file and the reason.
    """
    path = Path(path)
    return _read(path, lambda reader: reader.read_pixels(path), spacing, name)


def read_labels(path: str | Path) -> MedicalImage:
    """Read a label map with its values as stored: the indices of a palette, and no luminance of colours.

    Raises
    ------
    InputError
        As `read_image`, and where the file holds colours or is packed with loss.
    """
    path = Path(path)
    return _read(path, lambda reader: reader.read_labels(path), None, None)


def read_geometry(path: str | Path, *, spacing: float | Sequence[float] | None = None) -> Geometry:
    """Read the geometry that `read_image` gives, from the header alone where the format has one.

    Parameters and errors are those of `read_image`.
    """
    path = Path(path)
    try:
        with logged_warnings(path):
            return _checked(_reader(path).read_header(path), spacing)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def looks_like_image(path: Path) -> bool:
    """Whether an existing file is an image by its name, or by the mark of DICOM in its content."""
    return path.name.lower().endswith(IMAGE_SUFFIXES) or any(reader.accepts(path) for reader in _READERS)


def _reader(path: Path) -> ImageReader:
    """The reader of a file or folder; InputError where there is none."""
    if not path.exists():
        raise InputError("is a link to nothing: remove it" if path.is_symlink() else "there is no such file")
    if not path.is_file() and not path.is_dir():
        raise InputError("is no ordinary file: give an image file")
    for reader in _READERS:
        if reader.accepts(path):
            return reader
    if path.is_dir():
        raise InputError("is a folder: give one image file, or a folder of the slices of one DICOM series")
    kinds = ", ".join(suffix.lstrip(".") for suffix in IMAGE_SUFFIXES)
    raise InputError(f"is not an image of a kind that is read here ({kinds})")


def _read(
    path: Path,
    read: Callable[[ImageReader], tuple[NDArray, Geometry]],
    spacing: float | Sequence[float] | None,
    name: str | None,
) -> MedicalImage:
    try:
        with logged_warnings(path):
            array, geometry = read(_reader(path))
        if array.shape != geometry.shape:
            raise InputError(
                "has other pixels than its header says, it seems damaged: save it again or remove it"
            )
        return MedicalImage(_finite(array, path), _checked(geometry, spacing), name or path.name)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except MemoryError as error:
        raise InputError(
            f"{path}: does not fit into the memory that is free: close other programs"
        ) from error


def _checked(geometry: Geometry, spacing: float | Sequence[float] | None) -> Geometry:
    """The geometry with the given spacing; InputError for an image of hardly any pixels."""
    smallest = 4 if geometry.ndim == 2 else 2
    if min(geometry.shape) < smallest:
        size = " x ".join(str(length) for length in reversed(geometry.shape))
        raise InputError(f"is only {size} pixels: at least {smallest} on every side are needed")
    return geometry if spacing is None else geometry.with_spacing(spacing)


def _finite(array: NDArray, path: Path) -> NDArray:
    """The array with its smallest finite value in place of those that are not finite."""
    if array.dtype.kind == "c":
        raise InputError("holds complex values in every pixel: save one channel as an image")
    if array.dtype.kind != "f":
        return array
    good = np.isfinite(array)
    if good.all():
        return array
    if not good.any():
        raise InputError("holds no finite value: save it again")
    lowest = array[good].min()
    count = int(np.count_nonzero(~good))
    logger.warning("%s: %d values that are not finite were set to %g", path, count, float(lowest))
    return np.where(good, array, lowest)
