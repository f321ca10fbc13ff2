"""The landmarks of the image at hand as points that can be clicked, dragged and deleted."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Layer, Points
from napari.utils import Colormap

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status
from napari_landmark.gui.layers.layer_transforms import camera_of, layer_place, put
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.wording import word

NAME = "Landmarks"
_SHADOW = "Expected error"
CONFIDENCE_COLORS = Colormap(
    [[0.90, 0.11, 0.14], [1.0, 0.75, 0.15], [0.25, 0.85, 0.95]], name="landmark confidence"
)
"""Red is unsure, light blue is sure: told apart by people who do not tell red from green, too."""
_BORDERS = {Status.PREDICTED: "#000000aa", Status.PLACED: "#ffffff", Status.CORRECTED: "#ffffff"}


class LandmarkLayer:
    """Keeps a points layer and the session alike.

    What is done to the points goes to the session, and what the session says goes to the points; a row of
    the layer is known by its name, never by its number. A second layer below shows the expected errors as
    rings and the names' shadows, by which they can be read on any background.
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layer: Points | None = None
        self._rings: Points | None = None
        self._syncing = False
        self._bar_drawn = False
        session.landmarks_changed.connect(self._on_landmarks_changed)
        session.landmark_changed.connect(self._on_landmark_changed)
        session.view_changed.connect(self.refresh)
        camera_of(viewer).events.zoom.connect(self._on_zoom)

    @property
    def layer(self) -> Points | None:
        """The layer, None while there is none in the viewer."""
        viewer = self._viewer()
        return self._layer if viewer is not None and self._layer in viewer.layers else None

    def owns(self, layer: Layer) -> bool:
        """Whether a layer of the viewer is one of those made here."""
        return layer in (self._layer, self._rings)

    def show_image(self) -> bool:
        """Show the landmarks of the image at hand; returns whether the layers had to be made for it."""
        viewer = self._viewer()
        if viewer is None or not self._session.image:
            return False
        geometry = self._session.geometry()
        place = layer_place(geometry)
        missing = self.layer is None or self._layer.ndim != geometry.ndim
        if missing:
            self._remove()
            self._make(viewer, geometry.ndim, place)
        put(self._rings, place)
        put(self._layer, place)
        self.refresh()
        return missing

    def refresh(self, *_: object) -> None:
        """Draw what the session says."""
        layer = self.layer
        if layer is None or self._syncing or self._session.study is None:
            return
        self._syncing = True
        try:
            self._fill(layer, self._session.result())
        finally:
            self._syncing = False
        self._on_landmark_changed()
        self._on_zoom()

    def _make(self, viewer: ViewerModel, ndim: int, place: dict[str, Any]) -> None:
        self._rings = viewer.add_points(
            np.empty((0, ndim)),
            ndim=ndim,
            name=_SHADOW,
            features=_features(LandmarkSet(self._session.study.schema)),
            face_color="transparent",
            border_color="#ffd34d",
            border_width=1.0,
            border_width_is_relative=False,
            text={"string": "{name}", "color": "black", "anchor": "upper_left", "size": 10},
            **place,
        )
        self._rings.editable = False
        self._layer = viewer.add_points(
            np.empty((0, ndim)),
            ndim=ndim,
            name=NAME,
            features=_features(LandmarkSet(self._session.study.schema)),
            border_width=0.06,
            canvas_size_limits=(11, 20),
            text={"string": "{name}", "color": "#ffffff", "anchor": "upper_left", "size": 10},
            **place,
        )
        self._layer.face_colorbar.size = (16, 110)
        self._bar_drawn = False
        self._layer.events.data.connect(self._on_data)
        self._layer.events.mode.connect(self._on_mode)
        self._layer.selected_data.events.items_changed.connect(self._on_selected)
        self._on_zoom()

    def _remove(self) -> None:
        viewer = self._viewer()
        for layer in (self._layer, self._rings):
            if viewer is not None and layer is not None and layer in viewer.layers:
                viewer.layers.remove(layer)
        self._layer = self._rings = None

    def _fill(self, layer: Points, result: LandmarkSet) -> None:
        marks = [mark for mark in result.values() if mark.position is not None]
        positions = np.array([mark.position for mark in marks], dtype=float).reshape(-1, layer.ndim)
        features = _features(result)
        names = self._names()
        selected = {names[row] for row in layer.selected_data if row < len(names)}
        with _drawn_once(layer, len(marks)):
            layer.selected_data = set()
            layer.data = positions
            layer.features = features
            layer.selected_data = {row for row, mark in enumerate(marks) if mark.name in selected}
            self._paint(layer, marks, result)
        if self._rings is not None:
            rings = self._rings
            with _drawn_once(rings, len(marks)):
                rings.data = positions
                rings.features = features
                if len(marks):
                    errors = [mark.expected_error or 0.0 for mark in marks]
                    # A ring of no size would not be drawn, and neither would the name's shadow.
                    rings.size = np.maximum(2 * np.array(errors), 1e-3)

    def _paint(self, layer: Points, marks: list[Landmark], result: LandmarkSet) -> None:
        schema = result.schema
        predicted = any(mark.status is Status.PREDICTED for mark in marks)
        by_confidence = predicted and self._session.color_by_confidence
        if len(marks):
            if by_confidence:
                # Before the colours: napari would take the limits from the data, and where all are equal (a single
                # landmark) its bar divides by their difference.
                layer.face_contrast_limits = (0, 1)
                layer.face_color = "confidence"
                if layer.face_colormap.name != CONFIDENCE_COLORS.name:
                    layer.face_colormap = CONFIDENCE_COLORS
            else:
                layer.face_color = [schema.colors[schema.index(mark.name)] for mark in marks]
            layer.border_color = [_BORDERS[mark.status] for mark in marks]
        self._show_bar(layer, by_confidence)

    def _show_bar(self, layer: Points, shown: bool) -> None:
        """Show or hide the bar of confidences.

        napari takes half a second to draw it for the first time. Where predictions come later it is drawn while
        the study opens, unseen, rather than when the person goes to the next image.
        """
        bar = layer.face_colorbar
        unseen = not shown and not self._bar_drawn and self._session.known.any_prediction
        self._bar_drawn = self._bar_drawn or shown or unseen
        bar.opacity = 0.0 if unseen else 1.0
        if bar.visible != (shown or unseen):
            bar.visible = shown or unseen

    def _names(self) -> list[str]:
        return list(self._layer.features["name"]) if self._layer is not None else []

    def _on_data(self, event: Any) -> None:
        """Points were added, dragged or deleted in the canvas or by a script."""
        action = str(event.action)
        if self._syncing or action not in ("added", "changed", "removed"):
            return
        layer, session = self._layer, self._session
        names = self._names()
        before = session.result()
        self._syncing = True  # what the session answers is drawn once, at the end
        try:
            if action == "added":
                for index in event.data_indices:
                    session.edits.place_next(layer.data[index])
            elif action == "changed":
                for index in event.data_indices:
                    session.choose(names[index])
                    session.edits.place(names[index], layer.data[index])
            else:
                for name in [n for n, mark in before.items() if mark.position is not None and n not in names]:
                    session.edits.remove(name)
        except InputError as error:
            session.message.emit("warning", word(error))
        finally:
            self._syncing = False
        self.refresh()

    def _on_mode(self, event: Any = None) -> None:
        """A tool was chosen in napari's own controls: clicks place with the one that adds points."""
        layer = self.layer
        if layer is not None and (str(layer.mode) == "add") != self._session.placing:
            self._session.set_placing(str(layer.mode) == "add")

    def _on_selected(self, event: Any = None) -> None:
        """A click on a point makes it the landmark at hand."""
        if self._syncing or self._layer is None or len(self._layer.selected_data) != 1:
            return
        (row,) = self._layer.selected_data
        names = self._names()
        if str(self._layer.mode) == "select" and row < len(names):
            self._session.choose(names[row])

    def _on_landmarks_changed(self, image: str) -> None:
        if image == self._session.image:
            self.refresh()

    def _on_landmark_changed(self) -> None:
        """The landmark at hand is larger than the others."""
        layer = self.layer
        if layer is None or not len(layer.data) or self._syncing:
            return
        size = max(self._session.geometry().shape) / 80
        here = [name == self._session.landmark for name in self._names()]
        errors = layer.features["expected_error"] > 0
        with _drawn_once(layer, len(layer.data)), _drawn_once(self._rings, len(self._rings.data)):
            layer.size = [size * (1.5 if chosen else 1.0) for chosen in here]
            # The ring of the landmark at hand is bright, the others stay in the background.
            self._rings.border_color = [
                "#ffd34d" if chosen and error else "#ffd34d55" if error else "transparent"
                for chosen, error in zip(here, errors, strict=True)
            ]

    def _on_zoom(self, event: Any = None) -> None:
        """Keep the names at the same distance from their points on the screen, and their shadows from them."""
        viewer = self._viewer()
        if viewer is None or self.layer is None or self._rings is None:
            return
        pixel = 1 / max(camera_of(viewer).zoom, 1e-9)
        pixels = pixel / np.asarray(self._layer.scale)[-2:]
        pad = np.zeros(self._layer.ndim - 2)
        self._layer.text.translation = np.concatenate([pad, pixels * (4, 9)])
        if len(self._rings.data):
            self._rings.border_width = 1.6 * float(pixels.mean())
        self._rings.text.translation = np.concatenate([pad, pixels * (5.2, 10.2)])


@contextlib.contextmanager
def _drawn_once(layer: Points, count: int) -> Iterator[None]:
    """Inside, several things of a layer change and it is drawn at the end; where napari offers that.

    Only while the number of points stays: what is drawn refers to rows.
    """
    block = getattr(layer, "_block_refresh", None)
    if block is None or len(layer.data) != count:
        yield
        return
    with block():
        yield
    layer.refresh()


def _features(landmarks: LandmarkSet) -> pd.DataFrame:
    """What is known of the landmarks that lie somewhere; a person is sure."""
    marks = [mark for mark in landmarks.values() if mark.position is not None]
    return pd.DataFrame(
        {
            "name": pd.Series([mark.name for mark in marks], dtype=object),
            "status": pd.Series([str(mark.status) for mark in marks], dtype=object),
            "confidence": pd.Series(
                [1.0 if mark.status.is_manual else mark.confidence or 0.0 for mark in marks], dtype=float
            ),
            "expected_error": pd.Series([mark.expected_error or 0.0 for mark in marks], dtype=float),
        }
    )
