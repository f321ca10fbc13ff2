"""Label maps, which assign every pixel of an image to a region: reading, and files of a folder by image."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import image_stem
from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.data.images.dicom_series import series_files
from napari_landmark.data.images.image import MedicalImage, read_image

logger = logging.getLogger(__name__)

MAX_LABELS = 64
_LOSSY = ("JPEG", "MPO")
_PICTURES = (".png", ".bmp", ".gif", ".tif", ".tiff", ".jpg", ".jpeg")


def read_label_map(path: str | Path, geometry: Geometry) -> NDArray[np.integer]:
    """Read the label map of an image.

    Values are kept: a mask of 0 and 255 has the label 255. A picture with a palette has its indices as labels, a
    picture with colours is read only if all of them are greys.

    Parameters
    ----------
    path : str or Path
        PNG, BMP, GIF, TIFF, NIfTI, NRRD, MetaImage or DICOM.
    geometry : Geometry
        Of the image that the map belongs to.

    Returns
    -------
    array of uint8, or int32 if a label is larger, in the shape of the image

    Raises
    ------
    InputError
        The file is no label map, or that of an image of another size.
    """
    path = Path(path)
    image = read_image(path)
    values = _indices(path, image.array)
    if values.shape != geometry.shape:
        raise InputError(
            f"{path}: has {_size(values.shape)} pixels and its image {_size(geometry.shape)}: give the label map "
            "drawn on that image, not on a copy of another size"
        )
    labels = np.unique(values)
    if len(labels) > MAX_LABELS:
        raise InputError(
            f"{path}: holds {len(labels)} different values, a label map at most {MAX_LABELS}: is it an image?"
        )
    if not np.array_equal(labels, np.rint(labels)):
        raise InputError(
            f"{path}: holds values such as {labels[labels % 1 != 0][0]:g}: labels are whole numbers"
        )
    if labels[0] < 0 or labels[-1] > np.iinfo(np.int32).max:
        wrong = labels[0] if labels[0] < 0 else labels[-1]
        raise InputError(f"{path}: holds the label {wrong:g}: labels are 0 (nothing) and numbers above")
    if labels[-1] == 0:
        logger.warning("%s: holds no label but 0", path)
    _compare_positions(path, image, geometry)
    return values.astype(np.uint8 if labels[-1] <= 255 else np.int32)


def find_label_maps(folder: str | Path, names: Iterable[str]) -> dict[str, Path]:
    """Find the label maps of images: files of a folder with the same stem.

    Parameters
    ----------
    folder : str or Path
        Sub-folders and hidden files are ignored.
    names : iterable of str
        Names of the images.

    Returns
    -------
    dict of str to Path
        By name of the image, in that order, without the images that have none.

    Raises
    ------
    InputError
        There is no such folder, two files fit one image, or one file two images.
    """
    maps: dict[str, list[Path]] = {}
    for name, path in image_files(folder)[0]:
        maps.setdefault(image_stem(name), []).append(path)
    found: dict[str, Path] = {}
    owner: dict[str, str] = {}
    for name in names:
        stem = image_stem(name)
        candidates = maps.get(stem, [])
        if len(candidates) > 1:
            raise InputError(
                f"{folder}: {candidates[0].name} and {candidates[1].name} may both be the label map of {name}: keep one"
            )
        if candidates:
            if stem in owner:
                raise InputError(
                    f"{candidates[0]}: may be the label map of {owner[stem]} or of {name}: rename one of the images"
                )
            owner[stem] = name
            found[name] = candidates[0]
    return found


def _indices(path: Path, array: NDArray) -> NDArray:
    """Stored values of a file whose colours `read_image` has converted to luminance."""
    if not path.name.lower().endswith(_PICTURES):
        return array if _components(path) == 1 else _refuse_colours(path)
    try:
        with Image.open(path) as picture:
            if picture.format in _LOSSY:
                raise InputError(
                    f"{path}: is a JPEG, which blurs the borders of labels: export the label map as PNG or NIfTI"
                )
            pages = getattr(picture, "n_frames", 1)
            if picture.mode in ("1", "P"):
                return np.array(picture) if pages == 1 else _refuse_colours(path)
            if picture.mode in ("RGB", "RGBA"):
                channels = np.array(picture)[..., :3]
                if pages > 1 or (channels != channels[..., :1]).any():
                    _refuse_colours(path)
                return channels[..., 0]
            if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
                _refuse_colours(path)
    except InputError:
        raise
    except (OSError, Image.DecompressionBombError):
        pass  # a kind of TIFF that Pillow does not read: the array of `read_image` has the values
    return array


def _components(path: Path) -> int:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(series_files(path)[0]))
    reader.ReadImageInformation()
    return reader.GetNumberOfComponents()


def _refuse_colours(path: Path) -> NDArray:
    raise InputError(
        f"{path}: has colours, not labels: export the label map with one number for every region"
    )


def _compare_positions(path: Path, image: MedicalImage, geometry: Geometry) -> None:
    """Warn if the header gives other world positions than that of the image: the map may be turned or mirrored."""
    own = image.geometry
    if not all(g.spacing_source is SpacingSource.FILE for g in (own, geometry)):
        return
    ends = [np.zeros(own.ndim), *(np.diag(own.shape) - np.eye(own.ndim))]
    apart = np.abs(own.to_world(ends) - geometry.to_world(ends)).max()
    if apart > 0.5 * max(geometry.spacing or (0.0,)):
        logger.warning(
            "%s: has another position in space than its image (%.1f mm apart); its pixels are used one by one",
            path,
            apart,
        )


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in reversed(shape))
