"""Base of the steps of the work: contents that scroll where they are too tall."""

from __future__ import annotations

from napari.components import ViewerModel
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

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
        Everything; hidden while there is nothing to do.
    area : QScrollArea
        What scrolls.
    body : QVBoxLayout
        Layout of what scrolls.
    footer : QHBoxLayout
        Layout of what is always seen: the buttons that end the step.
    """

    step_wanted = Signal(object)
    """Another step is to be shown: a `Step`."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer)
        inner = QWidget()
        self.body = QVBoxLayout(inner)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(inner)
        self.footer = QHBoxLayout()
        self.content = QWidget()
        parts = QVBoxLayout(self.content)
        parts.setContentsMargins(0, 0, 0, 0)
        parts.addWidget(self.area, 1)
        parts.addLayout(self.footer)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.content, 1)
        layout.addStretch(0)  # holds the place where the content is hidden

    def open_step(self, step: Step) -> None:
        """Go to another step of the dock that this widget is in."""
        self.step_wanted.emit(step)
