"""Landmarks of another image, superimposed on those of the current one."""

from __future__ import annotations

import weakref

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

from napari_landmark.gui.layers.layer_transforms import layer_place
from napari_landmark.gui.layers.link_layer import link_vectors
from napari_landmark.gui.session.session import Session
from napari_landmark.measurement.superimposition import Superimposition

_COLOR = "#ff6ad5"


class SuperimpositionLayers:
    """Points and links of another image in one colour; removed when another image is shown.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layers: list[Layer] = []

    def owns(self, layer: Layer) -> bool:
        """Whether a layer of the viewer is one of these layers."""
        return layer in self._layers

    def show(self, name: str, found: Superimposition) -> None:
        """Show the landmarks of an image by its name, in place of those shown before."""
        self.clear()
        viewer, session = self._viewer(), self._session
        if viewer is None or not session.current_image:
            return
        geometry, selected = session.geometry(), set(viewer.layers.selection)
        place = layer_place(geometry)
        size = max(geometry.shape)
        moved = {one: tuple(row) for one, row in zip(found.names, found.moved.tolist(), strict=True)}
        vectors = link_vectors(moved, session.require_study().schema.drawn_segments, geometry.ndim)
        if len(vectors):
            self._layers.append(
                viewer.add_vectors(
                    vectors,
                    ndim=geometry.ndim,
                    name=f"Links of {name}",
                    edge_color=_COLOR,
                    edge_width=size / 500,
                    vector_style="line",
                    opacity=0.8,
                    **place,
                )
            )
        points = viewer.add_points(
            np.array(list(moved.values())).reshape(-1, geometry.ndim),
            ndim=geometry.ndim,
            name=f"Landmarks of {name}",
            size=size / 110,
            canvas_size_limits=(7, 16),
            face_color=_COLOR,
            border_color="black",
            **place,
        )
        points.editable = False
        self._layers.append(points)
        viewer.layers.selection = selected & set(viewer.layers)

    def clear(self) -> None:
        """Remove the layers."""
        viewer = self._viewer()
        for layer in self._layers:
            if viewer is not None and layer in viewer.layers:
                viewer.layers.remove(layer)
        self._layers = []
