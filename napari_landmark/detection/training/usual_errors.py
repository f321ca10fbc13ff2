"""Expected errors that are usual in a cohort, with which those of other images are compared."""

from __future__ import annotations

import numpy as np

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.model.judgement import UsualErrors
from napari_landmark.detection.model.landmark_model import LandmarkModel

_MOST_IMAGES = 40  # the median of more is the same, and each takes as long as a detection


def measure_usual_errors(model: LandmarkModel, cohort: Cohort) -> UsualErrors | None:
    """Median expected error of each landmark in an even choice of the images of a training."""
    chosen = np.linspace(0, len(cohort) - 1, min(len(cohort), _MOST_IMAGES)).round().astype(int)
    errors = []
    for number in chosen.tolist():
        transform = cohort.canvas_transform(number)
        found = model.detect_working(cohort.working(number), transform).landmarks
        errors.append(found.expected_errors() / transform.scale)
    return UsualErrors.of(errors)
