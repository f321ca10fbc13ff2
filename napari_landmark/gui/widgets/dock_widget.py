"""Bases of the dock widgets: connections that end with the dock, study bar on top, contents below."""

from __future__ import annotations

from napari.components import ViewerModel
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QDockWidget, QFrame, QMainWindow, QScrollArea, QVBoxLayout, QWidget

from napari_landmark.gui.canvas.canvas_view import show_canvas_view
from napari_landmark.gui.controls import NARROWEST, button
from napari_landmark.gui.dialogs.copy_log import offer_log
from napari_landmark.gui.keys import bind_keys
from napari_landmark.gui.layers.layer_manager import LayerManager
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.listener import Listener
from napari_landmark.gui.next_turn import in_next_turn
from napari_landmark.gui.widgets.file_drop import take_drops
from napari_landmark.gui.widgets.study_bar import StudyBar


def open_dock(viewer: ViewerModel, name: str) -> None:
    """Bring a widget of this plugin to the front; nothing happens in a viewer without a window."""
    window = getattr(viewer, "window", None)
    if window is not None:
        dock, _ = window.add_plugin_dock_widget("napari-landmark", name, tabify=True)
        dock.show()
        dock.raise_()


class Dock(Listener):
    """Widget of a viewer that is deleted when its dock is closed.

    Parameters
    ----------
    viewer : ViewerModel

    Attributes
    ----------
    viewer : ViewerModel
    layer_manager : LayerManager
    """

    _docked = False

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(get_session(viewer))
        self.viewer = viewer
        self.layer_manager: LayerManager = get_layer_manager(viewer)
        bind_keys(viewer, self.session)
        show_canvas_view(viewer)
        take_drops(viewer)
        offer_log(viewer, self.session)

    def open_dock(self, name: str) -> None:
        """Bring another widget of this plugin to the front."""
        open_dock(self.viewer, name)

    def event(self, event: QEvent | None) -> bool:
        """Delete the widget when its dock is closed: napari only takes it out, and it would live on unseen."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            docked, self._docked = self._docked, self.parent() is not None
            if docked and not self._docked:
                self.deleteLater()
            elif self._docked and not docked:
                in_next_turn(self, self._join_others)
        return super().event(event)

    def _join_others(self) -> None:
        """Become a tab beside the other docks of this plugin: napari's menu stacks them, too low for their tables."""
        dock = self.parent()
        while dock is not None and not isinstance(dock, QDockWidget):
            dock = dock.parent()
        window = None if dock is None else dock.parent()
        if dock is None or not isinstance(window, QMainWindow) or dock.isFloating():
            return
        area, beside = window.dockWidgetArea(dock), window.tabifiedDockWidgets(dock)
        for other in window.findChildren(QDockWidget):
            is_ours = other is not dock and not other.isFloating() and other.findChild(Dock) is not None
            if is_ours and window.dockWidgetArea(other) == area and other not in beside:
                window.tabifyDockWidget(other, dock)
                dock.show()
                dock.raise_()
                return


class DockWidget(Dock):
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
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer)
        self.study_bar = StudyBar(viewer, self.session)
        self.planes = button("Planes and 3-D rendering", lambda: self.open_dock("Planes"), tip=_PLANES)
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
        layout.addWidget(self.planes)
        layout.addWidget(scroll, 1)
        self.setMinimumWidth(NARROWEST)
        for signal in (self.session.study_changed, self.session.image_changed):
            self.listen(signal, self._offer_planes)
        self._offer_planes()

    def _offer_planes(self) -> None:
        """Offer the planes of a volume; the first volume of a viewer opens them."""
        is_volume = bool(self.session.current_image) and bool(self.session.crosshair.position)
        self.planes.setVisible(is_volume)
        if is_volume and not self.layer_manager.planes_were_shown:
            self.layer_manager.planes_were_shown = True
            self.open_dock("Planes")


_PLANES = "Axial, coronal and sagittal plane of the volume, linked by a crosshair; and its surface"
