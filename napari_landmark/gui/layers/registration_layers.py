"""Layers of a registered pair: warped image, checkerboard, grid, displacement, Jacobian, labels, points."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

from napari_landmark.data.images.display import display_range
from napari_landmark.gui.layers.registration_views import arrow_heads

if TYPE_CHECKING:
    from napari_landmark.gui.layers.pair_result import PairResult
    from napari_landmark.gui.layers.registration_views import Views

WARPED, CHECKERBOARD, GRID = "Warped", "Checkerboard", "Deformed grid"
ARROWS, JACOBIAN, FOLDS = "Displacement", "Volume change", "Folds"
LABELS, POINTS = "Warped labels", "Warped points"
JACOBIAN_COLORS = "PiYG"
"""Colormap of the volume change: 0 at its lower end, 1 in its middle, 2 at its upper end."""


class RegistrationLayers:
    """Layers of the last registered pair; they replace those of the pair before.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self._layers: dict[str, Layer] = {}
        self.result: PairResult | None = None
        """Registered pair that is shown."""
        self.places: tuple[dict[str, Any], dict[str, Any]] | None = None
        """Placements of its fixed and its moving image."""
        self.cursor_linked = False
        """Whether the place under the mouse is shown in the moving image, too."""

    def owns(self, layer: Layer) -> bool:
        """Whether a layer of the viewer is one of these layers."""
        return any(layer is own for own in self._layers.values())

    def get(self, name: str) -> Layer | None:
        """Layer of a kind; None while it is not in the viewer."""
        viewer, layer = self._viewer(), self._layers.get(name)
        return layer if viewer is not None and layer in viewer.layers else None

    @property
    def layers(self) -> list[Layer]:
        """Those of the layers that are in the viewer."""
        return [layer for name in self._layers if (layer := self.get(name)) is not None]

    def clear(self) -> None:
        """Remove all layers."""
        viewer = self._viewer()
        for layer in self._layers.values():
            if viewer is not None and layer in viewer.layers:
                viewer.layers.remove(layer)
        self._layers.clear()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Context in which the fixed image is seen alone."""
        layers = [layer for name in self._layers if (layer := self.get(name)) is not None and layer.visible]
        for layer in layers:
            layer.visible = False
        try:
            yield
        finally:
            for layer in layers:
                layer.visible = True

    def show(self, result: PairResult, place: dict[str, Any], moving_place: dict[str, Any]) -> None:
        """Show a result over its fixed image; other layers than the warped image are hidden as in the pair before.

        Parameters
        ----------
        result : PairResult
        place : dict
            Placement of the fixed image, from `same_place` when the work began: its layer may be gone by now.
        moving_place : dict
            The same of the moving image.
        """
        viewer = self._viewer()
        if viewer is None:
            return
        shown = {name: layer.visible for name in self._layers if (layer := self.get(name)) is not None}
        shown[WARPED] = (
            True  # opening a study hides it, and the fixed image alone would look like a perfect result
        )
        self.clear()
        self.result, views = result, result.views
        self.places = place, moving_place
        shape = result.pair.fixed.array.shape
        pair = f"{result.pair.moving.name} on {result.pair.fixed.name}"

        def add(
            kind: str, add_layer: Any, data: Any, *, title: str = "", visible: bool = False, **how: Any
        ) -> None:
            how = {**place, **how}
            self._layers[kind] = add_layer(
                data, name=title or f"{kind}: {pair}", visible=shown.get(kind, visible), **how
            )

        add(
            WARPED,
            viewer.add_image,
            views.warped,
            title=f"{WARPED} {pair}",
            visible=True,
            opacity=0.5,
            colormap="gray",
            contrast_limits=display_range(views.warped),
        )
        add(CHECKERBOARD, viewer.add_image, views.checkerboard, colormap="gray", contrast_limits=(0, 255))
        self._add_maps(add, viewer, views, place)
        add(
            GRID,
            viewer.add_image,
            views.grid,
            colormap="yellow",
            blending="additive",
            opacity=0.6,
            contrast_limits=(0, 255),
        )
        add(
            ARROWS,
            viewer.add_vectors,
            np.concatenate([views.arrows, arrow_heads(views.arrows)]),
            edge_color="#ffd34d",
            edge_width=max(shape) / 400,
            vector_style="line",  # napari's arrows have heads twice as wide as their lines, which nobody sees
        )
        if views.labels is not None:
            add(LABELS, viewer.add_labels, views.labels, visible=True, opacity=0.4)
        if views.landmarks is not None:
            marks = [mark for mark in views.landmarks.values() if mark.position is not None]
            add(
                POINTS,
                viewer.add_points,
                np.array([mark.position for mark in marks]).reshape(-1, len(shape)),
                visible=True,
                ndim=len(shape),
                symbol="cross",
                face_color="#ff4fd8",
                border_color="#ff4fd8",
                size=max(shape) / 60,
                canvas_size_limits=(9, 20),
                features={"name": [mark.name for mark in marks]},
            )
        viewer.layers.selection.active = self._layers[WARPED]

    def _add_maps(self, add: Any, viewer: ViewerModel, views: Views, place: dict[str, Any]) -> None:
        place = {**place, "scale": np.asarray(place["scale"]) * views.step}
        add(
            JACOBIAN,
            viewer.add_image,
            views.jacobian,
            colormap=JACOBIAN_COLORS,
            contrast_limits=(0, 2),
            opacity=0.6,
            **place,
        )
        if views.folds.any():
            add(FOLDS, viewer.add_labels, views.folds, visible=True, opacity=0.8, **place)


def same_place(layer: Layer) -> dict[str, Any]:
    """Keyword arguments that place another layer over one from any reader."""
    return {
        "scale": layer.scale,
        "translate": layer.translate,
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine.affine_matrix,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }
