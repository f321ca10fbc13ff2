"""Base of the steps of the work: contents that scroll where they are too tall."""

from __future__ import annotations

from napari.components import ViewerModel
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_landmark.gui.widgets.steps import Step
from napari_landmark.gui.widgets.viewer_widget import ViewerWidget


class StepWidget(ViewerWidget):
    """One step of the work, with contents that scroll where they are too tall.

    Parameters
    ----------
    viewer : ViewerModel

    Attributes
    ----------
    content : QWidget
        What scrolls.
    body : QVBoxLayout
        Layout of `content`.
    """

    step_wanted = Signal(object)
    """Another step is to be shown: a `Step`."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer)
        self.content = QWidget()
        self.body = QVBoxLayout(self.content)
        self.body.setContentsMargins(0, 0, 0, 0)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self.content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll, 1)

    def open_step(self, step: Step) -> None:
        """Go to another step of the dock that this widget is in."""
        self.step_wanted.emit(step)
