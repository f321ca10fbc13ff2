"""Where things lie in the viewer: the transforms that put index coordinates of an image into napari's world.

Every layer gets scale, units and axis labels; axes of napari and of arrays are in the same order here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_landmark.data.geometry import Geometry, SpacingSource

_AXES = ("z", "y", "x")
_UNIT_NAMES = {"mm": "millimeter", "pixel": "pixel"}


def camera_of(viewer: Any) -> Any:
    """The camera of a viewer, which moved to its scene in napari 0.9."""
    return getattr(viewer, "scene", viewer).camera


def layer_place(
    geometry: Geometry, matrix: ArrayLike | None = None, offset: ArrayLike | None = None
) -> dict[str, Any]:
    """Keyword arguments that put a layer where an image lies.

    Parameters
    ----------
    geometry : Geometry
        Of the image. Without spacing a pixel is one unit of the world.
    matrix : (ndim, ndim) array_like, optional
    offset : (ndim,) array_like, optional
        Image index = matrix @ layer index + offset, for layers on a grid of their own; as the image by default.

    Returns
    -------
    dict
        `scale`, `affine`, `units` and `axis_labels`.
    """
    ndim = geometry.ndim
    spacing = np.asarray(geometry.spacing or (1.0,) * ndim)
    matrix = np.eye(ndim) if matrix is None else np.asarray(matrix, dtype=float)
    offset = np.zeros(ndim) if offset is None else np.asarray(offset, dtype=float)
    linear = _direction(geometry) * spacing
    scale = np.linalg.norm(linear @ matrix, axis=0)
    affine = np.eye(ndim + 1)
    affine[:ndim, :ndim] = (linear @ matrix) / scale
    affine[:ndim, ndim] = linear @ offset + np.asarray(geometry.origin)
    unit = "pixel" if geometry.spacing is None else "mm"
    return {
        "scale": tuple(scale),
        "affine": affine,
        "units": (unit,) * ndim,
        "axis_labels": _AXES[3 - ndim :],
    }


def _direction(geometry: Geometry) -> NDArray[np.float64]:
    """Directions of the axes as far as napari can show them.

    Slices of a volume that is turned against the viewer's axes would be drawn wrongly. Such a volume is shown
    along its own axes; what is placed in it lies where it was placed all the same.
    """
    direction = np.asarray(geometry.direction)
    turned = np.abs(direction - np.diag(np.diag(direction))).max() > 1e-3
    return np.eye(3) if geometry.ndim == 3 and turned else direction


def put(layer: Any, place: dict[str, Any]) -> None:
    """Move a layer to a place given by `layer_place`."""
    # Each assignment draws the layer anew, and most images of a cohort lie in the same place.
    if not np.allclose(layer.scale, place["scale"], rtol=1e-12, atol=0):
        layer.scale = place["scale"]
    if not np.allclose(layer.affine.affine_matrix, place["affine"], rtol=1e-12, atol=0):
        layer.affine = place["affine"]
    if tuple(map(str, layer.units)) != tuple(_UNIT_NAMES[unit] for unit in place["units"]):
        layer.units = place["units"]
    if tuple(layer.axis_labels) != tuple(place["axis_labels"]):
        layer.axis_labels = place["axis_labels"]


def points_between(points_layer: Any, image_layer: Any) -> NDArray[np.float64]:
    """Points of a layer as index coordinates of an image layer.

    Both layers may come from any reader: rotated, mirrored or shifted in any way.
    """
    points = [
        image_layer.world_to_data(points_layer.data_to_world(point))
        for point in np.asarray(points_layer.data)
    ]
    return np.asarray(points, dtype=float).reshape(-1, points_layer.ndim)


def geometry_of(layer: Any) -> Geometry:
    """Geometry of an image layer from any reader, its whole transform taken into account.

    A layer whose units are not lengths, or that was never scaled, has no known spacing.
    """
    shape = tuple(layer.data.shape[: layer.ndim])
    zero = np.asarray(layer.data_to_world(np.zeros(layer.ndim)))
    columns = [np.asarray(layer.data_to_world(row)) - zero for row in np.eye(layer.ndim)]
    linear = np.stack(columns, axis=1) * _millimetres(layer)[:, None]
    spacing = np.linalg.norm(linear, axis=0)
    if not _has_length(layer):
        return Geometry(shape)
    return Geometry(
        shape,
        tuple(spacing),
        tuple(zero * _millimetres(layer)),
        tuple(map(tuple, linear / spacing)),
        SpacingSource.FILE,
    )


def _has_length(layer: Any) -> bool:
    return all(unit.is_compatible_with("mm") for unit in layer.units)


def _millimetres(layer: Any) -> NDArray[np.float64]:
    """Millimetres per world unit along each axis; 1 where the unit is not a length."""
    if not _has_length(layer):
        return np.ones(layer.ndim)
    return np.array([float((1 * unit).to("mm").magnitude) for unit in layer.units])
