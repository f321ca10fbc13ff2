"""Landmarks of the images of a folder, from one landmark file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from napari_landmark.data.cohort.folder_geometries import FolderGeometries
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import ImageNames
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.landmarks import LandmarkSet


def landmarks_of_images(
    path: Path, names: Iterable[str], *, images: Path, spacing: float | None = None, group: str = "the folder"
) -> dict[str, LandmarkSet]:
    """Landmarks that a file has of some images of a folder, by the names that the images have there.

    Parameters
    ----------
    path : Path
        Landmark file of any format.
    names : iterable of str
        Names of the images.
    images : Path
        Folder of the images.
    spacing : float, optional
        Millimetres per pixel instead of the files' own.
    group : str, optional
        What the images are together, for the message.

    Raises
    ------
    InputError
        The file cannot be read, fits an image in two ways, or has landmarks of none of them.
    """
    table = read_landmarks(path, geometries=FolderGeometries(images, spacing=spacing))
    written = ImageNames(table)
    found: dict[str, LandmarkSet] = {}
    for name in names:
        try:
            known = written.find(name)
        except InputError as error:
            raise error.prefixed(path) from error
        if known is not None:
            found[name] = table[known]
    if not found:
        first = ", ".join(list(table)[:3])
        raise InputError(f"{path}: has landmarks of no image of {group} (it has {first})")
    return found
