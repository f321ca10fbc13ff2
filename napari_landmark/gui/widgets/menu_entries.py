"""Entries of the menu that open the dock of a viewer at a step.

napari wants a class of widgets for an entry, and docks what calling it returns: here the one dock of the viewer.
"""

from __future__ import annotations

from typing import ClassVar

from napari.components import ViewerModel
from qtpy.QtWidgets import QWidget

from napari_landmark.gui.widgets.landmarks_dock import LandmarksDock, landmarks_dock
from napari_landmark.gui.widgets.steps import Step


class _Entry(QWidget):
    """Makes no instance of its own: calling it returns the dock of the viewer.

    Parameters
    ----------
    napari_viewer : ViewerModel
    """

    step: ClassVar[Step]

    def __new__(cls, napari_viewer: ViewerModel) -> LandmarksDock:  # type: ignore[misc]
        return landmarks_dock(napari_viewer, cls.step)

    def __init__(self, napari_viewer: ViewerModel) -> None:
        """Never called: napari reads the names of its parameters."""


class OpenPlace(_Entry):
    """The dock, at the step that places landmarks."""

    step = Step.PLACE


class OpenTrain(_Entry):
    """The dock, at the step that trains a model."""

    step = Step.TRAIN


class OpenReview(_Entry):
    """The dock, at the step that detects and reviews."""

    step = Step.REVIEW


class OpenMeasure(_Entry):
    """The dock, at the step that measures."""

    step = Step.MEASURE


class OpenRegister(_Entry):
    """The dock, at the step that registers."""

    step = Step.REGISTER
