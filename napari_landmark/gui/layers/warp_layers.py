"""Warping of further layers of the moving image by the transform of a registered pair."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.gui.layers.layer_transforms import points_between
from napari_landmark.registration.transform.transform import Transform

_TITLE = "Warped"


def warp_layers(
    viewer: ViewerModel,
    layers: Iterable[Layer],
    transform: Transform,
    *,
    fixed_place: dict[str, Any],
    moving_place: dict[str, Any],
) -> list[Layer]:
    """Add warped copies of layers that lie over the moving image, placed over the fixed one.

    Images and labels must have the moving image's shape. Points may have any transform; those that no point of the
    fixed image maps to are left out, with their features.

    Parameters
    ----------
    viewer : ViewerModel
    layers : iterable of Layer
    transform : Transform
    fixed_place, moving_place : dict
        Placement of both images, see `same_place`.

    Raises
    ------
    InputError
        No layers, or one of them is of another shape or kind; nothing is added then.
    """
    chosen = list(layers)
    if not chosen:
        raise InputError(
            "Select the layers to warp in the list of layers: images, labels or points of the moving image."
        )
    warped = [_warped(layer, transform, moving_place) for layer in chosen]
    added = []
    for layer, data in zip(chosen, warped, strict=True):
        how = {"name": f"{_TITLE} {layer.name}", **fixed_place}
        if isinstance(layer, Labels):
            added.append(viewer.add_labels(data, opacity=layer.opacity, **how))
        elif isinstance(layer, Image):
            look = {} if layer.rgb else {"colormap": layer.colormap, "contrast_limits": layer.contrast_limits}
            added.append(viewer.add_image(data, rgb=layer.rgb, opacity=layer.opacity, **look, **how))
        else:
            known = np.isfinite(data).all(axis=1)
            features = layer.features[known].reset_index(drop=True)
            look = {"face_color": layer.face_color[known], "border_color": layer.border_color[known]}
            size, symbol = layer.size[known], np.asarray(layer.symbol)[known]
            points = {
                "ndim": transform.fixed.ndim,
                "size": size,
                "symbol": symbol,
                "features": features,
                **look,
            }
            added.append(viewer.add_points(data[known], **points, **how))
    return added


def _warped(layer: Layer, transform: Transform, moving_place: dict[str, Any]) -> NDArray[Any]:
    """Data of a layer on the grid of the fixed image, or points in its index coordinates."""
    shape = transform.moving.shape
    if isinstance(layer, Points):
        if layer.ndim != len(shape):
            raise InputError(
                f"{layer.name}: has points of {layer.ndim} axes, the moving image has {len(shape)}."
            )
        image = Image(np.broadcast_to(np.uint8(0), shape), **moving_place)
        return transform.to_fixed(points_between(layer, image))
    if not isinstance(layer, Image | Labels) or layer.multiscale:
        raise InputError(
            f"{layer.name}: only images, labels and points are warped: leave it out of the selection."
        )
    values = np.asarray(layer.data)
    if values.shape[: layer.ndim] != shape:
        sizes = [" x ".join(str(count) for count in reversed(s)) for s in (values.shape[: layer.ndim], shape)]
        raise InputError(
            f"{layer.name}: has {sizes[0]} pixels and the moving image {sizes[1]}: select layers of the moving image."
        )
    if isinstance(layer, Labels):
        return transform.warp_labels(values)
    if layer.rgb:
        channels = np.moveaxis(values, -1, 0)
        return np.stack([_resampled(channel, transform) for channel in channels], axis=-1)
    return _resampled(values, transform)


def _resampled(values: NDArray[Any], transform: Transform) -> NDArray[Any]:
    return transform.warp_image(MedicalImage(values, transform.moving, "layer")).array
