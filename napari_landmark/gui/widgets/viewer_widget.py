"""Widget that works with the session and the layers of a viewer."""

from __future__ import annotations

from napari.components import ViewerModel

from napari_landmark.gui.canvas.canvas_view import show_canvas_view
from napari_landmark.gui.controls import wait_cursor
from napari_landmark.gui.dialogs.copy_log import offer_log
from napari_landmark.gui.keys import bind_keys
from napari_landmark.gui.layers.layer_manager import LayerManager
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.listener import Listener
from napari_landmark.gui.widgets.file_drop import take_drops


class ViewerWidget(Listener):
    """Widget of a viewer; the first one binds the keys and takes what is dropped onto the canvas.

    Parameters
    ----------
    viewer : ViewerModel

    Attributes
    ----------
    viewer : ViewerModel
    layer_manager : LayerManager
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(get_session(viewer))
        self.viewer = viewer
        self.layer_manager: LayerManager = get_layer_manager(viewer)
        self.session.waiting = wait_cursor
        bind_keys(viewer, self.session)
        show_canvas_view(viewer)
        take_drops(viewer)
        offer_log(viewer, self.session)

    def open_dock(self, name: str) -> None:
        """Bring a dock of this plugin to the front, by its name in the menu; nothing happens without a window."""
        window = getattr(self.viewer, "window", None)
        if window is not None:
            dock, _ = window.add_plugin_dock_widget("napari-landmark", name, tabify=True)
            dock.show()
            dock.raise_()
