"""Readers, writers and sample data of the npe2 manifest; light to import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_landmark.data.geometry import Geometry
    from napari_landmark.data.landmarks import LandmarkSet, Status

LayerData = tuple[Any, dict[str, Any], str] | tuple[None]
"""Data, attributes and type of a layer; (None,) tells napari that there is nothing to show, which is no error."""
_METADATA = "napari_landmark"
_PLACEMENT = ("scale", "translate", "rotate", "shear", "affine")


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Reader of landmark files; None for other files. Never raises, and opens no file."""
    try:
        paths = [path] if isinstance(path, str | Path) else list(path)
        names = [Path(p).name.lower() for p in paths]
    except TypeError:
        return None
    ends = (".landmarks.csv", ".mrk.json", ".fcsv", ".tps")
    return _read if names and all(name.endswith(ends) for name in names) else None


def write_csv(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a points layer as a CSV table of landmarks; returns the written files."""
    return _write(path if path.lower().endswith(".csv") else f"{path}.csv", data, attributes)


def write_slicer(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a points layer as a Slicer markups file; returns the written files."""
    return _write(path if path.lower().endswith(".mrk.json") else f"{path}.mrk.json", data, attributes)


def hand_phantoms() -> list[LayerData]:
    """Open the first synthetic hand radiograph; the others are in the same folder."""
    return [_first_hand()]


def annotated_hand_phantoms() -> list[LayerData]:
    """Open the first synthetic hand radiograph with its landmarks."""
    from napari_landmark.gui.layers.layer_transforms import layer_place
    from napari_landmark.synthetic import hand_phantom

    phantom = hand_phantom(0)
    marks = phantom.landmarks
    points = (
        marks.positions(2),
        {
            "name": "Landmarks of hand_000.png",
            "features": {"name": list(marks)},
            "face_color": list(marks.schema.colors),
            "size": 5,
            **layer_place(phantom.image.geometry),
        },
        "points",
    )
    return [_first_hand(), points]


def head_phantoms() -> list[LayerData]:
    """Open the first synthetic CT of a head; the others are in the same folder."""
    return [_first_head()]


def annotated_head_phantoms() -> list[LayerData]:
    """Open the first synthetic CT of a head with its landmarks."""
    from napari_landmark.gui.layers.layer_transforms import layer_place
    from napari_landmark.synthetic import head_phantom

    phantom = head_phantom(0)
    marks = phantom.landmarks
    points = (
        marks.positions(3),
        {
            "name": "Landmarks of head_000.nii.gz",
            "features": {"name": list(marks)},
            "face_color": list(marks.schema.colors),
            "size": 2,
            "out_of_slice_display": True,
            **layer_place(phantom.image.geometry),
        },
        "points",
    )
    return [_first_head(), points]


def sample_folder() -> Path:
    """Folder of the synthetic hand radiographs, which are written at the first call."""
    from napari_landmark.gui.jobs.sample_data import sample_hands

    return sample_hands()


def sample_volumes_folder() -> Path:
    """Folder of the synthetic CT of heads, which are written at the first call."""
    from napari_landmark.gui.jobs.sample_data import sample_images
    from napari_landmark.synthetic.volume_sample import write_sample_volumes

    return sample_images("sample volumes", write_sample_volumes)


def _first_head() -> LayerData:
    return _first_image(sample_volumes_folder() / "head_000.nii.gz", "Head phantom (sample data)")


def _first_hand() -> LayerData:
    return _first_image(sample_folder() / "hand_000.png", "Hand phantom (sample data)")


def _first_image(file: Path, preset: str) -> LayerData:
    """An image of the sample data, from which a study with the landmarks of a preset is made."""
    from napari_landmark.data.images.image import read_image
    from napari_landmark.gui.layers.layer_transforms import layer_place

    image = read_image(file)
    about = {_METADATA: {"file": str(file), "preset": preset}}
    attributes = {"name": image.name, "metadata": about, "colormap": "gray", **layer_place(image.geometry)}
    return image.array, attributes, "image"


def _read(path: str | Sequence[str]) -> list[LayerData]:
    from napari_landmark.gui.jobs.landmark_files import is_in_millimetres, read_in_pixels, read_world

    layers: list[LayerData] = []
    for file in [path] if isinstance(path, str | Path) else path:
        world = is_in_millimetres(file)
        for image, marks in (read_world(file) if world else read_in_pixels(file)).items():
            if marks.ndim is not None:
                layers.append(_points_layer(file, image, marks, "mm" if world else "pixel"))
    return layers or [(None,)]


def _points_layer(file: str, image: str, marks: LandmarkSet, unit: str) -> LayerData:
    placed = [mark for mark in marks.values() if mark.position is not None]
    positions = np.array([mark.position for mark in placed])
    if unit == "mm" and np.ptp(positions[:, 0]) == 0 and positions[0, 0] == 0:
        positions = positions[:, 1:]  # points of a 2D image have z = 0
    ndim = positions.shape[1]
    colors = dict(zip(marks.schema.names, marks.schema.colors, strict=True))
    attributes = {
        "name": f"Landmarks of {image}" if image else Path(file).name,
        "features": {
            "name": [mark.name for mark in placed],
            "status": [str(mark.status) for mark in placed],
            "confidence": [np.nan if mark.confidence is None else mark.confidence for mark in placed],
        },
        "face_color": [colors[mark.name] for mark in placed],
        "text": {"string": "{name}", "anchor": "upper_left", "color": "white"},
        "canvas_size_limits": (9, 18),
        "axis_labels": ("z", "y", "x")[3 - ndim :],
        "units": (unit,) * ndim,
        "scale": (1.0,) * ndim,
        "metadata": {_METADATA: {"image": image}},
    }
    return positions, attributes, "points"


def _write(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    from napari_landmark.data.formats.registry import write_landmarks
    from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status

    features = attributes.get("features")
    features = {} if features is None else features
    rows = np.asarray(data, dtype=float)
    names = (
        [str(name) for name in features["name"]]
        if "name" in features
        else [f"landmark {n + 1}" for n in range(len(rows))]
    )
    statuses = _statuses(features["status"]) if "status" in features else [Status.PLACED] * len(rows)
    schema = LandmarkSchema(tuple(names))  # raises InputError for a name that occurs twice
    marks = LandmarkSet(
        schema,
        (Landmark(n, tuple(row), status) for n, row, status in zip(names, rows, statuses, strict=True)),
    )
    image = (
        attributes.get("metadata", {}).get(_METADATA, {}).get("image") or attributes.get("name") or "image"
    )
    write_landmarks(path, {image: marks}, geometries=_geometries(image, rows, attributes))
    return [path]


def _geometries(image: str, rows: np.ndarray, attributes: dict[str, Any]) -> dict[str, Geometry]:
    """Geometry of the image of the points; empty where the units of their layer are not millimetres."""
    from napari_landmark.data.geometry import Geometry

    ndim = rows.shape[1]
    units = [str(unit) for unit in attributes.get("units") or ()]
    if ndim not in (2, 3) or not units or any(unit not in ("mm", "millimeter") for unit in units):
        return {}
    from napari.layers import Points

    placement = {key: attributes[key] for key in _PLACEMENT if attributes.get(key) is not None}
    layer = Points(np.empty((0, ndim)), ndim=ndim, **placement)
    origin = np.asarray(layer.data_to_world(np.zeros(ndim)))
    linear = np.stack([np.asarray(layer.data_to_world(row)) - origin for row in np.eye(ndim)], axis=1)
    spacing = np.linalg.norm(linear, axis=0)
    # The size of the image is unknown; it must contain the points.
    shape = tuple(np.maximum(np.ceil(rows.max(axis=0, initial=1)) + 1, 2).astype(int))
    return {image: Geometry(shape, tuple(spacing), tuple(origin), tuple(map(tuple, linear / spacing)))}


def _statuses(values: Sequence[object]) -> list[Status]:
    """Statuses in a column of features; all placed where it is a column of another program."""
    from napari_landmark.data.landmarks import Status

    texts = [str(value) for value in values]
    known = all(text in set(Status) for text in texts)
    return [Status(text) if known else Status.PLACED for text in texts]
