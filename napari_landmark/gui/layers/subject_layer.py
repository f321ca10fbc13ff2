"""Predicted landmarks of the further subjects of the current image, to be looked at."""

from __future__ import annotations

import weakref

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer, Points

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.gui.layers.layer_transforms import layer_place
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.wording import word

NAME = "Further subjects"
_SYMBOLS = ("diamond", "square", "triangle_up")  # of the second subject, the third, ...; the first has rings


class SubjectLayer:
    """A layer of points that cannot be edited: annotations of an image are of one subject.

    Colours are those of the landmarks. The layer exists where it was asked for and the current image has further
    subjects.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session

    Attributes
    ----------
    wanted : bool
        Whether further subjects are shown.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layer: Points | None = None
        self.wanted = False
        session.predictions_changed.connect(self.refresh)

    @property
    def layer(self) -> Points | None:
        """The layer; None while it is not in the viewer."""
        viewer = self._viewer()
        return self._layer if viewer is not None and self._layer in viewer.layers else None

    def owns(self, layer: Layer) -> bool:
        """Whether a layer of the viewer is this one."""
        return layer is self._layer

    def show(self, wanted: bool) -> None:
        """Show the further subjects of the current image and of all that are shown from now on, or hide them."""
        self.wanted = wanted
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Draw the further subjects of the current image as they are in the study's files."""
        viewer, session = self._viewer(), self._session
        if viewer is None:
            return
        layer = self.layer
        if layer is not None:
            viewer.layers.remove(layer)
        self._layer = None
        if not self.wanted or session.study is None or not session.current_image:
            return
        try:
            subjects = session.require_store().further_subjects(session.current_image)
        except InputError as error:
            session.message.emit("error", word(error))
            return
        if any(mark.position is not None for marks in subjects for mark in marks.values()):
            self._layer = self._add(viewer, subjects)

    def _add(self, viewer: ViewerModel, subjects: tuple[LandmarkSet, ...]) -> Points:
        geometry, schema = self._session.geometry(), self._session.schema
        rows = [
            (number, mark)
            for number, marks in enumerate(subjects)
            for mark in marks.values()
            if mark.position is not None
        ]
        colors = [schema.colors[schema.index(mark.name)] for _, mark in rows] if schema else "white"
        selected = set(viewer.layers.selection)
        layer = viewer.add_points(
            np.array([mark.position for _, mark in rows], dtype=float),
            ndim=geometry.ndim,
            name=NAME,
            symbol=[_SYMBOLS[min(number, len(_SYMBOLS) - 1)] for number, _ in rows],
            size=max(geometry.shape) / 60,
            canvas_size_limits=(8, 16),
            face_color="transparent",
            border_color=colors,
            border_width=0.15,
            features={"landmark": [f"{mark.name} ({number + 2})" for number, mark in rows]},
            # Names of two subjects would cover each other; "display text" of the layer shows them.
            text={"string": "{landmark}", "size": 8, "color": "white", "visible": False},
            **layer_place(geometry),
        )
        layer.editable = False
        viewer.layers.selection = selected & set(viewer.layers)  # clicks go to the annotations
        return layer
