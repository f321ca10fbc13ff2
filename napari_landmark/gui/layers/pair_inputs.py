"""Reading a pair to register, with its labels and landmarks, from the selected layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Points
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.gui.layers.layer_transforms import geometry_of, points_between
from napari_landmark.gui.layers.open_layers import gray_values


@dataclass(frozen=True, eq=False)
class ChosenLayers:
    """Selected layers of a pair; labels and points are optional.

    Parameters
    ----------
    fixed, moving : Image or None
    fixed_labels, moving_labels : Labels, or an Image of labels, optional
    fixed_points, moving_points : Points, optional
    """

    fixed: Image | None
    moving: Image | None
    fixed_labels: Labels | Image | None = None
    moving_labels: Labels | Image | None = None
    fixed_points: Points | None = None
    moving_points: Points | None = None


@dataclass(frozen=True, eq=False)
class PairInputs:
    """A pair to register, independent of layers, so that a thread can work on it.

    Parameters
    ----------
    fixed, moving : MedicalImage
        Named after their layers.
    fixed_labels, moving_labels : integer arrays of the images' shapes or None
    fixed_landmarks, moving_landmarks : LandmarkSet or None
        In index coordinates of their images.
    """

    fixed: MedicalImage
    moving: MedicalImage
    fixed_labels: NDArray[np.integer] | None = None
    moving_labels: NDArray[np.integer] | None = None
    fixed_landmarks: LandmarkSet | None = None
    moving_landmarks: LandmarkSet | None = None

    @property
    def labels(self) -> tuple[int, ...]:
        """Labels that both images have."""
        if self.fixed_labels is None or self.moving_labels is None:
            return ()
        both = np.intersect1d(np.unique(self.fixed_labels), np.unique(self.moving_labels))
        return tuple(int(label) for label in both if label)


def read_pair(chosen: ChosenLayers) -> PairInputs:
    """Read a pair from its layers.

    Raises
    ------
    InputError
        The layers do not make a pair; the message names the layer and the remedy.
    """
    if chosen.fixed is None or chosen.moving is None:
        raise InputError("Choose two images: open them in the viewer first, by dragging their files into it.")
    if chosen.fixed is chosen.moving:
        raise InputError(f"{chosen.fixed.name} is chosen as fixed and as moving image: choose another one.")
    if chosen.fixed.ndim != chosen.moving.ndim:
        kinds = {2: "a picture", 3: "a volume"}
        raise InputError(
            f"{chosen.fixed.name} is {kinds[chosen.fixed.ndim]} and {chosen.moving.name} "
            f"{kinds[chosen.moving.ndim]}: choose two of a kind."
        )
    landmarks = _landmarks(chosen, (chosen.fixed, chosen.moving))
    return PairInputs(
        image_of(chosen.fixed),
        image_of(chosen.moving),
        _labels(chosen.fixed_labels, chosen.fixed),
        _labels(chosen.moving_labels, chosen.moving),
        *landmarks,
    )


def image_of(layer: Image) -> MedicalImage:
    """Image of a layer from any reader, with the geometry of its transform in the viewer."""
    array = gray_values(layer)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if not np.isfinite(array).all():
        raise InputError(f"{layer.name}: holds values that are not finite; replace them first.")
    return MedicalImage(array, geometry_of(layer), layer.name)


def can_be_registered(layer: Any) -> bool:
    """Whether a layer is a 2D or 3D image."""
    return isinstance(layer, Image) and layer.ndim in (2, 3) and not layer.multiscale


def _labels(layer: Labels | Image | None, image: Image) -> NDArray[np.integer] | None:
    if layer is None:
        return None
    values = np.asarray(layer.data)
    shape = tuple(image.data.shape[: image.ndim])
    if values.shape != shape:
        sizes = [" x ".join(str(count) for count in reversed(s)) for s in (values.shape, shape)]
        raise InputError(
            f"{layer.name} has {sizes[0]} pixels and {image.name} {sizes[1]}: choose the labels that were drawn "
            f"on {image.name}."
        )
    if values.min() < 0:
        raise InputError(f"{layer.name}: holds the label {values.min()}: labels are 0 (nothing) and above.")
    return values


def _landmarks(
    chosen: ChosenLayers, images: tuple[Image, Image]
) -> tuple[LandmarkSet | None, LandmarkSet | None]:
    """Landmarks of both images, matched by name where both layers have names, else by order."""
    layers = (chosen.fixed_points, chosen.moving_points)
    for layer, image in zip(layers, images, strict=True):
        if layer is not None and layer.ndim != image.ndim:
            raise InputError(f"{layer.name} has points of {layer.ndim} axes, {image.name} has {image.ndim}.")
    there = [layer for layer in layers if layer is not None and len(layer.data)]
    named = all("name" in layer.features for layer in there)
    if len(there) == 2 and not named and len(there[0].data) != len(there[1].data):
        raise InputError(
            f"{there[0].name} has {len(there[0].data)} points and {there[1].name} {len(there[1].data)}: without "
            "names they correspond by their order, so add or delete some."
        )
    fixed, moving = (
        _landmark_set(layer, image, named=named) for layer, image in zip(layers, images, strict=True)
    )
    if fixed is not None and moving is not None and not set(fixed) & set(moving):
        raise InputError(f"{there[0].name} and {there[1].name} have no name in common: name points alike.")
    return fixed, moving


def _landmark_set(layer: Points | None, image: Image, *, named: bool) -> LandmarkSet | None:
    """Points of a layer as landmarks of an image; None without points."""
    if layer is None or not len(layer.data):
        return None
    positions = points_between(layer, image)
    names = [str(name) for name in layer.features["name"]] if named else []
    names = names or [f"point {number}" for number in range(1, len(positions) + 1)]
    try:
        schema = LandmarkSchema(tuple(names))
    except InputError as error:
        raise error.prefixed(layer.name) from error
    return LandmarkSet(
        schema, (Landmark(n, tuple(p), Status.PLACED) for n, p in zip(names, positions, strict=True))
    )
