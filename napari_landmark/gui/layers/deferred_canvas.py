"""Drawing of a viewer's canvas, and changes of its layers, in turns of the event loop of their own."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from napari.components import ViewerModel
from qtpy.QtWidgets import QWidget

from napari_landmark.gui.layers.napari_internals import canvas_widget
from napari_landmark.gui.next_turn import in_next_turn


class DeferredCanvas:
    """Defers the drawing of a canvas to the next turn of the event loop.

    Qt draws what changed right after the handler of a key or a click, so that both are one block of the main thread,
    the drawing without a graphics card being the longer one. In between, the event loop gets a turn: the layers and the
    session are at the new state by then, and only the picture on the screen is late by that turn.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)

    def defer(self, *_: object) -> None:
        """Draw nothing until the next turn of the event loop; a viewer without a window has nothing to draw."""
        widget = self._widget()
        if widget is None or not widget.updatesEnabled():
            return
        widget.setUpdatesEnabled(False)
        in_next_turn(widget, lambda: widget.setUpdatesEnabled(True))

    def in_turns(self, *steps: Callable[[], object]) -> None:
        """Call functions one after another, each in a turn of the event loop; at once in a viewer without a window."""
        widget = self._widget()
        if widget is None:
            for step in steps:
                step()
            return

        def next_one() -> None:
            steps[0]()
            if steps[1:]:
                self.in_turns(*steps[1:])

        in_next_turn(widget, next_one)

    def _widget(self) -> QWidget | None:
        return canvas_widget(self._viewer())
