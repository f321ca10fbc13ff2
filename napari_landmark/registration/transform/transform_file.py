"""Files of a transform: a displacement field that ITK reads, and a JSON description of its two images.

Read and written through `Transform.load` and `Transform.save`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.vector_field import read_vectors, vector_suffix, write_vectors
from napari_landmark.registration.transform.grids import corner_positions, extend_to_cover, world_geometry

FORMAT = "napari-landmark transform"
VERSION = 1


def write_transform_file(
    path: Path,
    *,
    fixed: Geometry,
    moving: Geometry,
    grid: Geometry,
    displacement: NDArray[np.floating],
    names: tuple[str, str] = ("", ""),
) -> None:
    """Write field and description.

    Parameters
    ----------
    path : Path
        File of the field: .nrrd, .nii.gz or .mha; the description has the same stem and the suffix .json.
    fixed, moving, grid, displacement
        As in `Transform`.
    names : tuple of str
        Of the fixed and of the moving image.

    Raises
    ------
    InputError
        Another suffix, or a folder that cannot be written.
    """
    description = {
        "format": FORMAT,
        "version": VERSION,
        "unit": "mm" if fixed.has_spacing else "px",
        "direction": "a point x of the fixed image lies at x + displacement(x) in the moving image",
        "axes": "yx" if fixed.ndim == 2 else "zyx",
        "fixed": {"name": names[0], **fixed.to_json()},
        "moving": {"name": names[1], **moving.to_json()},
    }
    # ITK displaces nothing outside of a field.
    write_vectors(path, *extend_to_cover(displacement, grid, world_geometry(fixed)))
    atomic_write(description_path(path), json.dumps(description, indent=1) + "\n")


def read_transform_file(path: Path) -> tuple[Geometry, Geometry, Geometry, NDArray[np.float64]]:
    """Read field and description: fixed, moving, grid and displacement as in `Transform`.

    Raises
    ------
    InputError
        One of the two files is missing, damaged, or does not belong to the other.
    """
    vector_suffix(path)
    beside = description_path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    if not beside.is_file():
        raise InputError(
            f"{path}: the file {beside.name} that belongs to it is missing; keep both in one folder"
        )
    fixed, moving = _read_description(beside)
    displacement, grid = read_vectors(path)
    if grid.ndim != fixed.ndim:
        raise InputError(f"{path}: has {grid.ndim} axes, but {beside.name} describes {fixed.ndim}")
    if not grid.contains(corner_positions(world_geometry(fixed), grid), margin=0.01).all():
        raise InputError(
            f"{path}: does not cover the fixed image that {beside.name} describes; keep those two files together "
            "that were written together"
        )
    return fixed, moving, grid, displacement


def description_path(path: Path) -> Path:
    """JSON file that belongs to a field: 'a/warp.json' for 'a/warp.nii.gz'."""
    return path.with_name(path.name[: -len(vector_suffix(path))] + ".json")


def _read_description(path: Path) -> tuple[Geometry, Geometry]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise InputError(f"{path}: does not belong to a transform")
        if data["version"] > VERSION:
            raise InputError(f"{path}: was written by a newer version of napari-landmark: update it")
        fixed, moving = Geometry.from_json(data["fixed"]), Geometry.from_json(data["moving"])
    except InputError as error:
        message = str(error)
        raise InputError(message if message.startswith(str(path)) else f"{path}: {message}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: is no description of a transform or is damaged: make it again") from error
    if fixed.ndim != moving.ndim:
        raise InputError(f"{path}: describes a picture and a volume, it is damaged: make it again")
    return fixed, moving
