"""An image with its place in the world, and reading one from a file of any kind."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry

logger = logging.getLogger(__name__)

_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif")
_ITK_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".dicom")
IMAGE_SUFFIXES: tuple[str, ...] = _PICTURE_SUFFIXES + _ITK_SUFFIXES
"""Ends of the names of files that are taken for images, in lower case. DICOM is known by its content, too."""


@dataclass(frozen=True, eq=False)
class MedicalImage:
    """An image as it was stored.

    Parameters
    ----------
    array : array
        Luminance [y, x] or [z, y, x] in the type the file has.
    geometry : Geometry
        Its place in the world; the shape is the array's.
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
        What the image shall be called; the file's name by default.

    Raises
    ------
    InputError
        Where the file is not an image that can be used; it names the file and the reason.
    """
    path = Path(path)
    try:
        array, geometry = _reader(path).read_pixels(path)
        if array.shape != geometry.shape:
            raise InputError(
                "has other pixels than its header says, it seems damaged: save it again or remove it"
            )
        array = _finite(array, path)
        return MedicalImage(array, _completed(geometry, spacing), name or path.name)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except MemoryError as error:
        raise InputError(
            f"{path}: does not fit into the memory that is free: close other programs"
        ) from error


def read_geometry(path: str | Path, *, spacing: float | Sequence[float] | None = None) -> Geometry:
    """The geometry `read_image` would give, from the header alone where the format has one."""
    path = Path(path)
    try:
        return _completed(_reader(path).read_header(path), spacing)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def looks_like_image(path: Path) -> bool:
    """Whether a file's name, or the mark every DICOM file carries, says that it is an image."""
    return path.name.lower().endswith(IMAGE_SUFFIXES) or _is_dicom(path)


def is_series_folder(path: Path) -> bool:
    """Whether a folder is one image: it holds DICOM files, the slices of a volume."""
    return path.is_dir() and any(map(_is_dicom, itertools.islice(_visible_files(path), 1)))


def series_files(path: Path) -> list[Path]:
    """The files of an image: itself, or the slices in its folder."""
    return _visible_files(path) if path.is_dir() else [path]


def _visible_files(folder: Path) -> list[Path]:
    try:
        files = [path for path in folder.iterdir() if path.is_file()]
    except OSError:
        return []
    return sorted(f for f in files if not f.name.startswith(".") and f.name.upper() != "DICOMDIR")


def _reader(path: Path) -> ModuleType:
    """The module that reads this kind of file; it is loaded only now."""
    if path.is_dir():
        if not is_series_folder(path):
            raise InputError(
                "is a folder: give one image file, or a folder of the slices of one DICOM series"
            )
        from napari_landmark.data.images import dicom_series

        return dicom_series
    if not path.exists():
        loop = path.is_symlink()
        raise InputError("is a link to nothing: remove it" if loop else "there is no such file")
    if not path.is_file():
        raise InputError("is no ordinary file: give an image file")
    if path.name.lower().endswith(_PICTURE_SUFFIXES):
        from napari_landmark.data.images import raster as picture_file

        return picture_file
    if looks_like_image(path):
        from napari_landmark.data.images import itk as itk_file

        return itk_file
    kinds = ", ".join(suffix.lstrip(".") for suffix in IMAGE_SUFFIXES)
    raise InputError(f"is not an image of a kind that is read here ({kinds})")


def _is_dicom(path: Path) -> bool:
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return False
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _completed(geometry: Geometry, spacing: float | Sequence[float] | None) -> Geometry:
    smallest = 4 if geometry.ndim == 2 else 2
    if min(geometry.shape) < smallest:
        size = " x ".join(str(length) for length in reversed(geometry.shape))
        raise InputError(f"is only {size} pixels: at least {smallest} on every side are needed")
    return geometry if spacing is None else geometry.with_spacing(spacing)


def _finite(array: NDArray, path: Path) -> NDArray:
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
