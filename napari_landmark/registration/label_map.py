"""Label maps, which assign every pixel of an image to a region: reading, and files of a folder by image."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import image_stem
from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.data.images.image import MedicalImage, read_labels

logger = logging.getLogger(__name__)

MAX_LABELS = {2: 64, 3: 512}
"""By number of axes: atlases of the brain have more than a hundred structures."""


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
    image = read_labels(path)
    values = image.array
    if values.shape != geometry.shape:
        raise InputError(
            f"{path}: has {_size(values.shape)} pixels and its image {_size(geometry.shape)}: give the label map "
            "drawn on that image, not on a copy of another size"
        )
    labels = np.unique(values)
    most = MAX_LABELS.get(values.ndim, 64)
    if len(labels) > most:
        raise InputError(
            f"{path}: holds {len(labels)} different values, a label map at most {most}: is it an image?"
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
