"""Base of the dock widgets: study bar on top, contents below, connections that end with the dock."""

from __future__ import annotations

from napari.components import ViewerModel
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_landmark.gui.controls import NARROWEST
from napari_landmark.gui.keys import bind_keys
from napari_landmark.gui.layers.layer_manager import LayerManager
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.listener import Listener
from napari_landmark.gui.widgets.study_bar import StudyBar


class DockWidget(Listener):
    """Widget of the Plugins menu: study bar on top, its own contents below, which scroll where they are too tall.

    Parameters
    ----------
    viewer : ViewerModel

    Attributes
    ----------
    study_bar : StudyBar
    content : QWidget
        Everything below the study bar.
    body : QVBoxLayout
        Layout of `content`.
    layer_manager : LayerManager
    """

    _docked = False

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(get_session(viewer))
        self.viewer = viewer
        self.layer_manager: LayerManager = get_layer_manager(viewer)
        bind_keys(viewer, self.session)
        self.study_bar = StudyBar(viewer, self.session)
        self.content = QWidget()
        self.body = QVBoxLayout(self.content)
        self.body.setContentsMargins(0, 0, 0, 0)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self.content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.study_bar)
        layout.addWidget(scroll, 1)
        self.setMinimumWidth(NARROWEST)

    def event(self, event: QEvent | None) -> bool:
        """Delete the widget when its dock is closed: napari only takes it out, and it would live on unseen."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            docked, self._docked = self._docked, self.parent() is not None
            if docked and not self._docked:
                self.deleteLater()
        return super().event(event)

    def open_dock(self, name: str) -> None:
        """Bring another widget of this plugin to the front."""
        window = getattr(self.viewer, "window", None)
        if window is not None:
            dock, _ = window.add_plugin_dock_widget("napari-landmark", name, tabify=True)
            dock.show()
            dock.raise_()
