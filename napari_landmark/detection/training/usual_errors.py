"""Expected errors that are usual in a cohort, with which those of other images are compared."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.detection.model.embedding_trials import EmbeddingTrials
from napari_landmark.detection.model.judgement import UsualErrors
from napari_landmark.detection.model.landmark_model import LandmarkModel

_MOST_IMAGES = 40  # the median of more is the same, and each takes as long as a detection


def measure_usual_errors(
    model: LandmarkModel, cohort: Cohort, *, aside: Collection[int] = ()
) -> UsualErrors | None:
    """Median expected error of each landmark in an even choice of the images of a training.

    Parameters
    ----------
    model : LandmarkModel
    cohort : Cohort
        As the images were drawn in the training.
    aside : collection of int
        Images that nothing was learned from, and that do not count.
    """
    errors = []
    for number in _chosen(cohort, aside):
        transform = cohort.canvas_transform(number)
        found = model.detect_working(cohort.working(number), transform).landmarks
        errors.append(found.expected_errors() / transform.scale)
    return UsualErrors.of(errors)


def measure_usual_match_error(
    model: LandmarkModel, cohort: Cohort, *, aside: Collection[int] = ()
) -> float | None:
    """Median over the same images of the mean expected error of matches by the embedding; None without any image.

    In pixels of the working grid. Parameters are those of `measure_usual_errors`.
    """
    upright = Pose.upright(cohort.ndim)
    errors = [
        EmbeddingTrials(cohort.working(number), model.embedding, model.descriptors, model.device)(
            upright
        ).error
        for number in _chosen(cohort, aside)
    ]
    return float(np.median(errors)) if errors else None


def _chosen(cohort: Cohort, aside: Collection[int]) -> list[int]:
    numbers = [number for number in range(len(cohort)) if number not in aside]
    if not numbers:
        return []
    rows = np.linspace(0, len(numbers) - 1, min(len(numbers), _MOST_IMAGES)).round().astype(int)
    return [numbers[row] for row in rows]
