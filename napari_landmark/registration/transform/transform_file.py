"""A transform on disk: the displacement field as ITK reads it, and a JSON file that says what it belongs to."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.vector_field import read_vectors, vector_suffix, write_vectors
from napari_landmark.registration.transform.transform import Transform

FORMAT = "napari-landmark transform"
VERSION = 1


def save_transform(transform: Transform, path: Path, names: tuple[str, str] = ("", "")) -> None:
    """Write field and description; InputError for another kind of file or where nothing can be written."""
    fixed, moving = (
        {"name": name, **_to_json(geometry)}
        for name, geometry in zip(names, (transform.fixed, transform.moving), strict=True)
    )
    description = {
        "format": FORMAT,
        "version": VERSION,
        "unit": transform.unit,
        "direction": "a point x of the fixed image lies at x + displacement(x) in the moving image",
        "axes": "yx" if transform.fixed.ndim == 2 else "zyx",
        "fixed": fixed,
        "moving": moving,
    }
    write_vectors(path, *covering_field(transform))
    atomic_write(description_path(path), json.dumps(description, indent=1) + "\n")


def load_transform(path: Path) -> Transform:
    """Read field and description; InputError where one of them is not there or cannot be used."""
    vector_suffix(path)
    beside = description_path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    if not beside.is_file():
        raise InputError(
            f"{path}: the file {beside.name} that belongs to it is not there; keep both together"
        )
    fixed, moving = _read_description(beside)
    vectors, grid = read_vectors(path)
    if grid.ndim != fixed.ndim:
        raise InputError(f"{path}: has {grid.ndim} axes and {beside.name} speaks of {fixed.ndim}")
    transform = Transform(fixed, moving, grid, vectors)
    if not grid.contains(_corners(transform), margin=0.01).all():
        raise InputError(
            f"{path}: does not cover the fixed image that {beside.name} speaks of; keep those together "
            "that were written together"
        )
    return transform


def description_path(path: Path) -> Path:
    """The JSON file beside a field: 'a/warp.json' of 'a/warp.nii.gz'."""
    return path.with_name(path.name[: -len(vector_suffix(path))] + ".json")


def covering_field(transform: Transform) -> tuple[NDArray[np.float32], Geometry]:
    """Displacements and grid, continued until they cover the fixed image: ITK moves nothing where it has none."""
    grid, vectors = transform.grid, transform.displacement
    places = _corners(transform)
    before = np.maximum(0, np.ceil(-places.min(axis=0) - 0.5 - 1e-6)).astype(int)
    after = np.maximum(0, np.ceil(places.max(axis=0) - np.asarray(grid.shape) + 0.5 - 1e-6)).astype(int)
    vectors = np.pad(vectors, [*zip(before.tolist(), after.tolist(), strict=True), (0, 0)], mode="edge")
    origin = tuple(grid.to_world(-before[None])[0].tolist())
    return vectors, dataclasses.replace(grid, shape=vectors.shape[:-1], origin=origin)


def _corners(transform: Transform) -> NDArray[np.float64]:
    """Centres of the corner pixels of the fixed image, in index coordinates of the grid."""
    ends = [(0.0, size - 1.0) for size in transform.fixed.shape]
    return transform.grid.to_index(transform.fixed_world.to_world(list(itertools.product(*ends))))


def _read_description(path: Path) -> tuple[Geometry, Geometry]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise InputError(f"{path}: does not belong to a transform")
        if data["version"] > VERSION:
            raise InputError(f"{path}: was written by a newer version of this program: update it")
        fixed, moving = _from_json(data["fixed"]), _from_json(data["moving"])
    except InputError as error:
        message = str(error)
        raise InputError(message if message.startswith(str(path)) else f"{path}: {message}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: does not describe a transform, it seems damaged: make it again") from error
    if fixed.ndim != moving.ndim:
        raise InputError(f"{path}: speaks of a picture and a volume, it seems damaged: make it again")
    return fixed, moving


def _to_json(geometry: Geometry) -> dict[str, Any]:
    return {
        "shape": geometry.shape,
        "spacing": geometry.spacing,
        "origin": geometry.origin,
        "direction": geometry.direction,
        "spacing_source": geometry.spacing_source.value,
        "spacing_plane": geometry.spacing_plane,
    }


def _from_json(data: Mapping[str, Any]) -> Geometry:
    return Geometry(
        shape=tuple(data["shape"]),
        spacing=None if data["spacing"] is None else tuple(data["spacing"]),
        origin=tuple(data["origin"]),
        direction=tuple(tuple(row) for row in data["direction"]),
        spacing_source=data["spacing_source"],
        spacing_plane=str(data.get("spacing_plane", "")),
    )
