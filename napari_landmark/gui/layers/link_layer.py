"""Links between landmarks of the current image, and the lines of one measurement."""

from __future__ import annotations

import weakref
from collections.abc import Mapping

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer, Vectors
from numpy.typing import NDArray

from napari_landmark.gui.layers.layer_transforms import layer_place, put
from napari_landmark.gui.session.session import Session

NAME = "Links"
_COLOR = "#58c9ff"


class LinkLayer:
    """A layer of lines between linked landmarks that follows the session and points that are dragged.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layer: Vectors | None = None
        session.landmarks_changed.connect(self._on_landmarks_changed)
        session.landmark_dragged.connect(self._on_dragged)

    @property
    def layer(self) -> Vectors | None:
        """The layer; None while it is not in the viewer."""
        viewer = self._viewer()
        return self._layer if viewer is not None and self._layer in viewer.layers else None

    def owns(self, layer: Layer) -> bool:
        """Whether a layer of the viewer is this one."""
        return layer is self._layer

    def show_image(self) -> None:
        """Show links and curves of the current image; a study without them has no layer."""
        viewer, session = self._viewer(), self._session
        if viewer is None or session.study is None or not session.current_image:
            return
        layer, geometry = self.layer, session.geometry()
        if layer is not None and (not session.study.schema.drawn_segments or layer.ndim != geometry.ndim):
            viewer.layers.remove(layer)
            layer = None
        if not session.study.schema.drawn_segments:
            return
        if layer is None:
            selected = set(viewer.layers.selection)
            layer = self._layer = viewer.add_vectors(
                np.empty((0, 2, geometry.ndim)),
                ndim=geometry.ndim,
                name=NAME,
                edge_color=_COLOR,
                edge_width=max(geometry.shape) / 500,
                vector_style="line",
                opacity=0.7,
                **layer_place(geometry),
            )
            if len(viewer.layers) > 1:  # above the image and below the points
                viewer.layers.move(viewer.layers.index(layer), 1)
            viewer.layers.selection = selected & set(viewer.layers)
        else:
            put(layer, layer_place(geometry))
        self._draw({})

    def _draw(self, dragged: dict[str, tuple[float, ...]]) -> None:
        layer, session = self.layer, self._session
        if layer is None or session.study is None:
            return
        vectors = link_vectors(
            {name: dragged.get(name, mark.position) for name, mark in session.result().items()},
            session.study.schema.drawn_segments,
            layer.ndim,
        )
        if not np.array_equal(layer.data, vectors):
            layer.data = vectors

    def _on_landmarks_changed(self, image: str) -> None:
        if image == self._session.current_image:
            self._draw({})

    def _on_dragged(self, name: str, position: tuple[float, ...]) -> None:
        self._draw({name: position})


def link_vectors(
    positions: Mapping[str, tuple[float, ...] | None], pairs: tuple[tuple[str, str], ...], ndim: int
) -> NDArray[np.float64]:
    """(n, 2, ndim) starts and directions of the links whose landmarks have positions."""
    ends = [(positions.get(first), positions.get(second)) for first, second in pairs]
    known = [(a, np.subtract(b, a)) for a, b in ends if a is not None and b is not None]
    return np.array(known, dtype=float).reshape(-1, 2, ndim)
