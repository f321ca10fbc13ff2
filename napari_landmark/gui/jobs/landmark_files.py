"""Reading landmark files where it is not known yet which images they are about."""

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
    """Whether a file holds world coordinates (the formats of 3D Slicer)."""
    return input_format(path).unit is Unit.MILLIMETRES


def read_world(path: str | Path) -> dict[str, LandmarkSet]:
    """Landmarks of a file in millimetres, as if the image had one voxel in each cubic millimetre.

    Positions are [z, y, x] in mm, in the world that images have in the viewer.
    """
    name = Path(path).name.split(".")[0]
    return read_landmarks(path, geometries={name: Geometry((_FAR,) * 3, (1.0,) * 3)})


def read_beside_images(path: str | Path) -> dict[str, LandmarkSet]:
    """Landmarks of a file in pixels; the images are looked for in its folder where the format needs them."""
    try:
        return read_landmarks(path)
    except InputError:
        if not input_format(path).reading_needs_images:
            raise
    geometries = {}
    for name, file in image_files(Path(path).parent)[0]:
        try:
            geometries[name] = read_geometry(file)
        except InputError:
            continue
    return read_landmarks(path, geometries=geometries)


def read_names(path: str | Path) -> LandmarkSchema:
    """Which landmarks a file is about."""
    sets = read_world(path) if is_in_millimetres(path) else read_beside_images(path)
    if not sets:
        raise InputError(f"{path}: holds no landmarks: choose another file")
    return next(iter(sets.values())).schema


def read_for(path: str | Path, image: str, geometries: Mapping[str, Geometry]) -> LandmarkSet:
    """Landmarks of one image from a file.

    Parameters
    ----------
    image : str
        Its name; a file that is about a single image is taken for this one.
    geometries : mapping of str to Geometry
        Of all images.

    Raises
    ------
    InputError
        The file is about several other images.
    """
    known = {image: geometries[image]} if is_in_millimetres(path) else geometries
    sets = read_landmarks(path, geometries=known)
    if image in sets:
        return sets[image]
    if len(sets) == 1:
        return next(iter(sets.values()))
    there = ", ".join(list(sets)[:3]) or "no image"
    raise InputError(f"{path}: has nothing about {image}; it is about {there}")
