"""Layers of two images of the study that are to be registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points
from numpy.typing import NDArray

from napari_landmark.data.images.display import display_range
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.gui.layers.layer_source import METADATA
from napari_landmark.gui.layers.layer_transforms import layer_place
from napari_landmark.gui.layers.pair_inputs import ChosenLayers

_OF_PAIR = "of pair"


def study_pair_layers(viewer: ViewerModel) -> list[Layer]:
    """Layers of the pair that was added last."""
    return [layer for layer in viewer.layers if layer.metadata.get(METADATA, {}).get(_OF_PAIR)]


def add_study_pair(
    viewer: ViewerModel,
    images: Mapping[str, MedicalImage],
    *,
    labels: Mapping[str, NDArray[np.integer]],
    landmarks: Mapping[str, LandmarkSet],
) -> ChosenLayers:
    """Add layers of a pair to a viewer, in place of those of the pair before; the fixed image is seen.

    Parameters
    ----------
    viewer : ViewerModel
    images : mapping of str to MedicalImage
        'fixed' and 'moving'.
    labels, landmarks : mappings of str
        Label map and landmarks of each; may be empty.

    Returns
    -------
    ChosenLayers
    """
    for layer in study_pair_layers(viewer):
        viewer.layers.remove(layer)
    made: dict[str, Image | Labels | Points] = {}
    about = {METADATA: {_OF_PAIR: True}}
    for part in ("moving", "fixed"):
        image = images[part]
        how: dict[str, Any] = {**layer_place(image.geometry), "metadata": about, "visible": part == "fixed"}
        made[part] = viewer.add_image(
            image.array,
            name=f"{image.name} ({part})",
            colormap="gray",
            contrast_limits=display_range(image.array),
            **how,
        )
        if part in labels:
            made[f"{part}_labels"] = viewer.add_labels(
                labels[part], name=f"labels of {image.name} ({part})", opacity=0.4, **how
            )
        if part in landmarks:
            marks = [mark for mark in landmarks[part].values() if mark.position is not None]
            colors = dict(zip(landmarks[part].schema.names, landmarks[part].schema.colors, strict=True))
            made[f"{part}_points"] = viewer.add_points(
                np.array([mark.position for mark in marks], dtype=float),
                name=f"points of {image.name} ({part})",
                features={"name": [mark.name for mark in marks]},
                face_color=[colors[mark.name] for mark in marks],
                size=max(image.geometry.shape) / 80,
                canvas_size_limits=(7, 16),
                **how,
            )
    viewer.layers.selection.active = made["fixed"]
    viewer.reset_view()
    return ChosenLayers(**made)
