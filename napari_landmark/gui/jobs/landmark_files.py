"""Reading landmark files for which the images are not yet known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.landmark_format import Unit
from napari_landmark.data.formats.registry import input_format, read_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import read_geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet

_FAR = 10**6


def is_in_millimetres(path: str | Path) -> bool:
    """Whether a file has world coordinates, as the formats of 3D Slicer do."""
    return input_format(path).unit is Unit.MILLIMETRES


def read_world(path: str | Path) -> dict[str, LandmarkSet]:
    """Read landmarks of a file in millimetres: positions are [z, y, x] in mm, in the world of the viewer."""
    name = Path(path).name.split(".")[0]
    # With one voxel a millimetre, index coordinates are world coordinates.
    return read_landmarks(path, geometries={name: Geometry((_FAR,) * 3, (1.0,) * 3)})


def read_in_pixels(path: str | Path, images: Path | None = None) -> dict[str, LandmarkSet]:
    """Read landmarks of a file in pixels; where the format needs its images, they are searched in a folder.

    Parameters
    ----------
    path : str or Path
    images : Path, optional
        Folder of the images; by default that of the file.
    """
    try:
        return read_landmarks(path)
    except InputError:
        if not input_format(path).reading_needs_images:
            raise
    folder = images if images is not None and images.is_dir() else Path(path).parent
    geometries = {}
    for name, file in image_files(folder)[0]:
        try:
            geometries[name] = read_geometry(file)
        except InputError:
            continue
    return read_landmarks(path, geometries=geometries)


def read_names(path: str | Path, images: Path | None = None) -> LandmarkSchema:
    """Read the schema of a landmark file; InputError where it is empty. Parameters are those of `read_in_pixels`."""
    sets = read_world(path) if is_in_millimetres(path) else read_in_pixels(path, images)
    if not sets:
        raise InputError(f"{path}: holds no landmarks: choose another file")
    return next(iter(sets.values())).schema


def read_for(path: str | Path, image: str, geometries: Mapping[str, Geometry]) -> dict[str, LandmarkSet]:
    """Read the landmarks of the images of a study from a file.

    Parameters
    ----------
    path : str or Path
    image : str
        Name of the current image; a file with a single image, or in millimetres, is read for this one.
    geometries : mapping of str to Geometry
        Of all images.

    Returns
    -------
    dict of str to LandmarkSet
        By name of the image, at least one; images that the study has not are left out.

    Raises
    ------
    InputError
        The file cannot be read, or has several other images only.
    """
    known = {image: geometries[image]} if is_in_millimetres(path) else geometries
    sets = read_landmarks(path, geometries=known)
    if len(sets) == 1 and not set(sets) & set(geometries):
        return {image: next(iter(sets.values()))}
    found = {name: marks for name, marks in sets.items() if name in geometries}
    if not found:
        others = ", ".join(list(sets)[:3]) or "no image"
        raise InputError(f"{path}: has no landmarks of {image}; it has those of {others}")
    return found
