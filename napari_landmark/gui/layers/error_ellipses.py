"""90% regions of the predictions of the current picture, as ellipses."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer, Vectors
from numpy.typing import NDArray

from napari_landmark.calibration.corrections import REGION
from napari_landmark.data.error_covariance import principal_axes, region_radius
from napari_landmark.data.landmarks import Landmark
from napari_landmark.gui.layers.layer_transforms import layer_place, put
from napari_landmark.gui.session.region_coverage import region_factor
from napari_landmark.gui.session.session import Session

NAME = "90% regions"
_SIDES = 40  # of the polygon that is drawn for an ellipse
_COLOR, _FAINT = "#ffd34d", "#ffd34d99"


class ErrorEllipses:
    """A layer of ellipses that hold the true position with a probability of 90%; it exists where there are any.

    Parameters
    ----------
    viewer : ViewerModel
    session : Session
    """

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layer: Vectors | None = None
        self._names: tuple[str, ...] = ()
        self._marked: object = None

    @property
    def names(self) -> set[str]:
        """Names of the landmarks that have an ellipse now."""
        return set(self._names)

    @property
    def layer(self) -> Vectors | None:
        """The layer; None where nothing has an ellipse."""
        return self._layer

    def owns(self, layer: Layer) -> bool:
        """Whether a layer of the viewer is this one."""
        return self._layer is not None and layer is self._layer

    def show(self, marks: Sequence[Landmark]) -> None:
        """Draw the regions of landmarks; volumes, and predictions without covariances, have none."""
        viewer = self._viewer()
        if viewer is None:
            return
        known = [mark for mark in marks if mark.covariance is not None and len(mark.covariance) == 2]
        self._names, self._marked = tuple(mark.name for mark in known), None
        present = self._layer is not None and self._layer in viewer.layers
        if not known:
            if present and self._layer is not None:
                viewer.layers.remove(self._layer)
            self._layer = None
            return
        lines = np.concatenate(
            [ellipse(mark, region_factor(self._session, mark.name) or 1.0) for mark in known]
        )
        geometry = self._session.geometry()
        if not present or self._layer is None:
            selected = set(viewer.layers.selection)
            self._layer = viewer.add_vectors(
                lines,
                ndim=2,
                name=NAME,
                edge_color=_FAINT,
                edge_width=max(geometry.shape) / 600,
                vector_style="line",
                **layer_place(geometry),
            )
            viewer.layers.move(viewer.layers.index(self._layer), 1)  # above the image and below the points
            viewer.layers.selection = selected & set(viewer.layers)
        else:
            put(self._layer, layer_place(geometry))
            if not np.array_equal(self._layer.data, lines):
                self._layer.data = lines

    def mark(self, landmark: str) -> None:
        """Draw the region of one landmark brighter than the others."""
        viewer = self._viewer()
        if self._layer is None or viewer is None or self._layer not in viewer.layers:
            return
        marked = landmark, self._names
        if marked != self._marked:
            self._marked = marked
            colors = [_COLOR if name == landmark else _FAINT for name in self._names for _ in range(_SIDES)]
            self._layer.edge_color = colors


def ellipse(mark: Landmark, factor: float = 1.0) -> NDArray[np.float64]:
    """(_SIDES, 2, 2) starts and steps of the sides of a landmark's 90% region, in index coordinates."""
    deviations, axes = principal_axes(np.array(mark.covariance))
    angles = np.linspace(0, 2 * np.pi, _SIDES + 1)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = np.asarray(mark.position) + factor * region_radius(REGION, 2) * (circle * deviations) @ axes.T
    return np.stack([points[:-1], np.diff(points, axis=0)], axis=1)
