"""Contents of the report of a training: figures, expected errors, doubtful points and predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.detection.training.error_tables import (
    DoubtfulPoint,
    ErrorTables,
    doubtful_crops,
    state_text,
)
from napari_landmark.detection.training.plane_figures import (
    LandmarkPlanes,
    doubtful_landmarks,
    landmark_planes,
)
from napari_landmark.detection.training.report_figures import figure_pixels, landmark_figure, thumbnail
from napari_landmark.detection.training.shortcomings import find_shortcomings
from napari_landmark.detection.training.train import TrainingReport
from napari_landmark.learning.loop import History

_MOST_PREDICTIONS = 40  # that are drawn; of larger cohorts the worst ones and an even choice of the others
_MOST_VOLUMES = 16  # each is read from its file
_MOST_POINTS = 24


@dataclass(frozen=True, eq=False)
class PredictionPicture:
    """Small picture of an image with its predicted landmarks, or planes of a volume through the doubtful ones.

    Parameters
    ----------
    name, state : str
    error : float or None
        Mean expected error in native pixels.
    picture : (height, width, 3) array of uint8, or None for a volume
    planes : list of LandmarkPlanes, optional
    """

    name: str
    state: str
    error: float | None
    picture: NDArray[np.uint8] | None
    planes: list[LandmarkPlanes] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class ReportContents:
    """What page and PDF of a training show.

    Parameters
    ----------
    summary : dict
        See `summarize`.
    histories : list of History
    template : str
    schema : list of (str, str)
        Names and colours of the landmarks.
    grid : str
        Size of the working grid in words.
    tables : ErrorTables
    template_picture : (height, width, 3) array of uint8, or None
    template_planes : list of LandmarkPlanes
        Of a volume.
    predictions : list of PredictionPicture
    points : list of (DoubtfulPoint, (side, side, 3) array of uint8)
        The most doubtful points of pictures.
    """

    summary: dict[str, Any]
    histories: list[History]
    template: str
    schema: list[tuple[str, str]]
    grid: str
    tables: ErrorTables
    template_picture: NDArray[np.uint8] | None
    template_planes: list[LandmarkPlanes]
    predictions: list[PredictionPicture]
    points: list[tuple[DoubtfulPoint, NDArray[np.uint8]]]


def gather_contents(study: Study, cohort: Cohort, report: TrainingReport) -> ReportContents:
    """Tables and pictures of a training; reads the files of the images that are drawn."""
    summary = summarize(cohort, report)
    errors = summary["expected_error_px"]
    tables = ErrorTables(cohort, report.predictions)
    template_picture = None
    template_planes: list[LandmarkPlanes] = []
    points: list[DoubtfulPoint] = []
    has_template = study.template in cohort
    if cohort.ndim == 3:
        if has_template:
            image = cohort.read(cohort.index(study.template))
            template_planes = landmark_planes(image, study.load_annotations(study.template))
        predictions = []
        for name in choose_predictions(list(errors), _MOST_VOLUMES):
            found = report.predictions[name]
            planes = landmark_planes(cohort.read(cohort.index(name)), found, doubtful_landmarks(found))
            predictions.append(PredictionPicture(name, state_text(found), errors[name], None, planes))
    else:
        if has_template:
            landmarks = study.load_annotations(study.template)
            template_picture = figure_pixels(landmark_figure(cohort, cohort.index(study.template), landmarks))
        points = tables.doubtful_points(_MOST_POINTS)
        predictions = [
            PredictionPicture(
                name,
                state_text(report.predictions[name]),
                errors[name],
                thumbnail(cohort, cohort.index(name), report.predictions[name]),
            )
            for name in choose_predictions(list(errors))
        ]
    return ReportContents(
        summary,
        report.histories,
        study.template,
        list(zip(study.schema.names, study.schema.colors, strict=True)),
        " × ".join(str(side) for side in reversed(cohort.canvas)),
        tables,
        template_picture,
        template_planes,
        predictions,
        list(zip(points, doubtful_crops(cohort, points), strict=True)),
    )


def summarize(cohort: Cohort, report: TrainingReport) -> dict[str, Any]:
    """Figures of a training as plain JSON values; null for what is not a finite number.

    Lengths are in native pixels, times in seconds.
    """
    return {
        "model": report.model_dir.name,
        "cancelled": report.cancelled,
        "seconds": round(report.seconds, 1),
        "images": len(cohort),
        "offsets": report.offsets,
        "shortcomings": [lack.text for lack in find_shortcomings(report, cohort)],
        "skipped_files": [{"image": file.name, "reason": file.reason} for file in cohort.skipped_files],
        "left_aside": [{"image": name, "reason": reason} for name, reason in report.left_aside.items()],
        "stages": [_summarize_stage(history) for history in report.histories],
        "image_states": {
            name: str(marks.image_state) for name, marks in report.predictions.items() if marks.image_state
        },
        "expected_error_px": {
            name: None if error is None else round(error, 3)
            for name, error in expected_errors(report.predictions).items()
        },
    }


def expected_errors(predictions: dict[str, LandmarkSet]) -> dict[str, float | None]:
    """Mean expected error (native pixels) of each image, largest first; before them those without any, as None."""
    means: dict[str, float | None] = {}
    for name, found in predictions.items():
        errors = found.expected_errors()
        known = errors[np.isfinite(errors)]
        means[name] = float(known.mean()) if len(known) else None
    return dict(sorted(means.items(), key=lambda item: -math.inf if item[1] is None else -item[1]))


def choose_predictions(names: list[str], most: int = _MOST_PREDICTIONS) -> list[str]:
    """Names of the images to show, from all names in the order of `expected_errors`."""
    if len(names) <= most:
        return names
    half = most // 2
    others = np.linspace(half, len(names) - 1, most - half).round().astype(int)
    return names[:half] + [names[i] for i in others]


def _summarize_stage(history: History) -> dict[str, Any]:
    loss = history.losses[-1][2] if history.losses else math.nan
    return {
        "stage": history.stage,
        "steps": history.steps,
        "least_steps": history.least_steps,
        "seconds": round(history.seconds, 1),
        "loss": loss if math.isfinite(loss) else None,
    }
