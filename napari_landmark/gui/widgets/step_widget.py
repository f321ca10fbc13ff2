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
    content : QScrollArea
        What scrolls; hidden while there is nothing to do.
    body : QVBoxLayout
        Layout of what is in `content`.
    """

    step_wanted = Signal(object)
    """Another step is to be shown: a `Step`."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer)
        inner = QWidget()
        self.body = QVBoxLayout(inner)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.content = QScrollArea()
        self.content.setWidgetResizable(True)
        self.content.setFrameShape(QFrame.Shape.NoFrame)
        self.content.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.content.setWidget(inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.content, 1)
        layout.addStretch(0)  # holds the place where the content is hidden

    def open_step(self, step: Step) -> None:
        """Go to another step of the dock that this widget is in."""
        self.step_wanted.emit(step)
