"""Base of the docks of this plugin, which are deleted when they are closed and become tabs of one place."""

from __future__ import annotations

import weakref

from napari.components import ViewerModel
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_landmark.gui.next_turn import in_next_turn
from napari_landmark.gui.widgets.viewer_widget import ViewerWidget


class Dock(ViewerWidget):
    """Content of a dock of a viewer, deleted when the dock is closed.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer)
        self._held = False
        self._holder: weakref.ref[QWidget] | None = None

    @property
    def dock(self) -> QDockWidget | None:
        """Dock that holds this widget; None where it is in none."""
        held = self.parent()
        while held is not None and not isinstance(held, QDockWidget):
            held = held.parent()
        return held

    def event(self, event: QEvent | None) -> bool:
        """Delete the widget when its dock is closed: napari only takes it out, and it would live on unseen."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            before = None if self._holder is None else self._holder()
            holder = self.parentWidget()
            self._holder = None if holder is None else weakref.ref(holder)
            held, self._held = self._held, holder is not None
            if held and holder is None:
                self.deleteLater()
            elif holder is not None and holder is not before:
                self._on_docked(before)
        return super().event(event)

    def _on_docked(self, before: QWidget | None) -> None:
        """Called when a dock takes this widget, which another one held before; it is not in the window yet."""
        if before is None:
            in_next_turn(self, self._join_others)

    def _join_others(self) -> None:
        """Become a tab beside the other docks of this plugin: napari's menu stacks them, too low for their tables."""
        dock = self.dock
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
