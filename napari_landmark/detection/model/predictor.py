"""What every trained landmark model can do, of pictures or of volumes."""

from __future__ import annotations

from typing import Any, Protocol

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.detection.model.detection import Detection
from napari_landmark.learning.device import Device


class PoseNotFoundError(InputError):
    """An image resembles the template in no pose, so that no position in it can be trusted."""


class Predictor(Protocol):
    """Trained model that predicts landmarks in images of any size and spacing.

    Attributes
    ----------
    schema : LandmarkSchema
    canvas : tuple of int
        Shape of the working grid of the training.
    device : Device
    record : dict
        Options, device, templates, data fingerprint and versions of the training.
    """

    schema: LandmarkSchema
    canvas: tuple[int, ...]
    device: Device
    record: dict[str, Any]

    def detect(self, image: MedicalImage, *, heatmaps: bool = False) -> Detection:
        """Predict the landmarks of an image, with heatmaps if wanted.

        Raises
        ------
        InputError
            The image has another number of dimensions than the cohort.
        PoseNotFoundError
        """

    def detect_in_cohort(self, cohort: Cohort, number: int, *, heatmaps: bool = False) -> Detection:
        """Predict the landmarks of image `number` of a cohort."""

    def digest(self) -> str:
        """SHA-256 that is equal for models that predict the same."""
