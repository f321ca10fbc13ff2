"""Private names of napari that the viewer uses, for which napari has nothing public; each may be absent.

None is needed for a right result: without them the viewer draws more often, marks are napari's own points, the top-most
of points that lie on each other is dragged, arrow keys do not step through slices, and work goes on when a window
closes. No other module uses a private name of napari.

`rename_dock` uses what napari calls public, but relies on when napari reads it: else an entry of the menu, chosen for a
second time, would hide the dock instead of showing its step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer, Points
from napari.settings import get_settings
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

_SIDES = {
    "left": Qt.DockWidgetArea.LeftDockWidgetArea,
    "right": Qt.DockWidgetArea.RightDockWidgetArea,
    "top": Qt.DockWidgetArea.TopDockWidgetArea,
    "bottom": Qt.DockWidgetArea.BottomDockWidgetArea,
}


def canvas_widget(viewer: ViewerModel | None) -> QWidget | None:
    """Qt widget of the canvas of a viewer; None without a window."""
    qt_viewer = _private(getattr(viewer, "window", None), "_qt_viewer")
    native = getattr(getattr(qt_viewer, "canvas", None), "native", None)
    return native if isinstance(native, QWidget) else None


def main_window(viewer: ViewerModel) -> QWidget | None:
    """Main window of a viewer as a Qt widget; None without a window."""
    window = _private(getattr(viewer, "window", None), "_qt_window")
    return window if isinstance(window, QWidget) else None


def rename_dock(dock: QWidget, name: str) -> None:
    """Give a dock another name for napari, which keeps its docks by name and no longer calls what made a known one.

    Called while napari makes the dock, that is when its content gets it as a parent, the dock also goes to the side
    where the user had one of that name.
    """
    dock.name = name  # type: ignore[attr-defined]
    dock.setObjectName(name)
    dock.setWindowTitle(name)
    side = getattr(get_settings().application, "plugin_widget_positions", {}).get(name)
    if side in _SIDES:
        dock.area, dock.qt_area = side, _SIDES[side]  # type: ignore[attr-defined]


def undrawn(layer: Layer) -> contextlib.AbstractContextManager[None]:
    """Context in which a layer is not drawn."""
    block = _private(layer, "_block_refresh")
    return contextlib.nullcontext() if block is None else block()


def color_managers(layer: Points) -> list[Any]:
    """Colours of the faces and of the borders of points, whose events draw the layer."""
    managers = (_private(layer, name) for name in ("_face", "_border"))
    return [manager for manager in managers if manager is not None]


def choose_point(layer: Points, choose: Callable[[int, NDArray[np.intp], NDArray[np.float64]], int]) -> None:
    """Let `choose` say which of several points under the mouse is meant; napari takes the top-most one.

    It gets that one, all rows that are shown and the position of the mouse in data coordinates, and returns a row.
    """
    top_most = _private(layer, "_get_value")
    if top_most is None:
        return

    def meant(position: Sequence[float]) -> int | None:
        top = top_most(position)
        shown = _private(layer, "_view_indices")
        if top is None or shown is None:
            return top
        return choose(int(top), np.asarray(shown, dtype=np.intp), np.asarray(position, dtype=float))

    layer._get_value = meant


def slider_setter(viewer: ViewerModel) -> Callable[..., object] | None:
    """Listener of the data of layers that sets the sliders of a viewer to the extent of all layers."""
    return _private(viewer, "_on_layers_change")


def slider_step(viewer: ViewerModel, key: str) -> Callable[[], object] | None:
    """What the key 'Left' or 'Right' does in napari; None for another one."""
    names = {"Left": "_increment_dims_left", "Right": "_increment_dims_right"}
    return _private(viewer.dims, names[key]) if key in names else None


def _private(owner: object, name: str) -> Any:
    return getattr(owner, name, None)
