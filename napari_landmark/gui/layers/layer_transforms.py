"""Transforms from index coordinates of an image to napari's world.

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
    """Camera of a viewer; since napari 0.9 an attribute of its scene."""
    return getattr(viewer, "scene", viewer).camera


def layer_place(
    geometry: Geometry, matrix: ArrayLike | None = None, offset: ArrayLike | None = None
) -> dict[str, Any]:
    """Keyword arguments that place a layer as an image is placed in the world.

    Parameters
    ----------
    geometry : Geometry
        Of the image. Without spacing a pixel is one unit of the world.
    matrix : (ndim, ndim) array_like, optional
    offset : (ndim,) array_like, optional
        Image index = matrix @ layer index + offset, for layers on another grid; by default the grid of the image.

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

    napari draws slices of a volume that is rotated against the viewer's axes wrongly. Such a volume is shown
    along its own axes; index coordinates of its landmarks are the same.
    """
    direction = np.asarray(geometry.direction)
    turned = np.abs(direction - np.diag(np.diag(direction))).max() > 1e-3
    return np.eye(3) if geometry.ndim == 3 and turned else direction


def put(layer: Any, place: dict[str, Any]) -> None:
    """Set the placement of a layer, as given by `layer_place`."""
    # Each assignment draws the layer anew, and most images of a cohort have the same placement.
    if not np.allclose(layer.scale, place["scale"], rtol=1e-12, atol=0):
        layer.scale = place["scale"]
    if not np.allclose(layer.affine.affine_matrix, place["affine"], rtol=1e-12, atol=0):
        layer.affine = place["affine"]
    if tuple(map(str, layer.units)) != tuple(_UNIT_NAMES[unit] for unit in place["units"]):
        layer.units = place["units"]
    if tuple(layer.axis_labels) != tuple(place["axis_labels"]):
        layer.axis_labels = place["axis_labels"]


def points_between(points_layer: Any, image_layer: Any) -> NDArray[np.float64]:
    """(n, d) points of a layer in index coordinates of an image layer, each from any reader."""
    points = [
        image_layer.world_to_data(points_layer.data_to_world(point))
        for point in np.asarray(points_layer.data)
    ]
    return np.asarray(points, dtype=float).reshape(-1, points_layer.ndim)


def geometry_of(layer: Any) -> Geometry:
    """Geometry of an image layer from any reader, by its whole transform.

    The spacing is unknown where the layer's units are not lengths.
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
