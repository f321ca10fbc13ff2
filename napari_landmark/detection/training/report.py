"""Report of a training: loss curves, template, and predictions sorted by expected error, as a page and as figures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.detection.training.plane_figures import (
    LandmarkPlanes,
    doubtful_landmarks,
    landmark_planes,
)
from napari_landmark.detection.training.report_figures import (
    figure_uri,
    landmark_figure,
    loss_figure,
    picture_uri,
    thumbnail,
)
from napari_landmark.detection.training.shortcomings import find_shortcomings
from napari_landmark.detection.training.train import TrainingReport
from napari_landmark.learning.loop import History

_MOST_PREDICTIONS = 40  # on the page; of larger cohorts the worst ones and an even choice of the others
_MOST_VOLUMES = 16  # each is read from its file
_TEMPLATE = "report.html"
_STATES = {
    ImageState.DOUBTFUL: "doubtful",
    ImageState.FOREIGN: "not this anatomy?",
    ImageState.SEVERAL: "several subjects?",
}


def write_report(study: Study, cohort: Cohort, report: TrainingReport) -> Path:
    """Write `report.html` (one file that needs no other) and `report.json` into the study; returns the page's path.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    summary = summarize(cohort, report)
    folder = study.report_dir
    atomic_write(folder / "report.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
    page = folder / "report.html"
    atomic_write(page, _render(study, cohort, report, summary))
    return page


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


def _render(study: Study, cohort: Cohort, report: TrainingReport, summary: dict[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("napari_landmark.detection.training", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = None
    predictions: list[dict[str, Any]] = []
    errors = summary["expected_error_px"]
    template_planes: list[dict[str, Any]] = []
    volumes: list[dict[str, Any]] = []
    if cohort.ndim == 3:
        if study.template in cohort:
            image = cohort.read(cohort.index(study.template))
            template_planes = _planes(landmark_planes(image, study.load_annotations(study.template)))
        for name in choose_predictions(list(errors), _MOST_VOLUMES):
            found = report.predictions[name]
            image = cohort.read(cohort.index(name))
            planes = _planes(landmark_planes(image, found, doubtful_landmarks(found)))
            volumes.append({"name": name, "error": errors[name], "state": _state(found), "landmarks": planes})
    else:
        if study.template in cohort:
            landmarks = study.load_annotations(study.template)
            template = figure_uri(landmark_figure(cohort, cohort.index(study.template), landmarks))
        predictions = [
            {
                "name": name,
                "error": errors[name],
                "state": _state(report.predictions[name]),
                "picture": picture_uri(thumbnail(cohort, cohort.index(name), report.predictions[name])),
            }
            for name in choose_predictions(list(errors))
        ]
    stages = [
        {**stage, "picture": figure_uri(loss_figure(history))}
        for stage, history in zip(summary["stages"], report.histories, strict=True)
    ]
    return environment.get_template(_TEMPLATE).render(
        summary=summary,
        stages=stages,
        template_name=study.template,
        template=template,
        schema=list(zip(study.schema.names, study.schema.colors, strict=True)),
        grid=" × ".join(str(side) for side in reversed(cohort.canvas)),
        predictions=predictions,
        template_planes=template_planes,
        volumes=volumes,
    )


def _planes(rows: list[LandmarkPlanes]) -> list[dict[str, Any]]:
    """Landmarks in three planes as the page shows them."""
    return [
        {
            "name": row.name,
            "color": row.color,
            "error": row.expected_error,
            "pictures": [
                {"title": title, "picture": picture_uri(picture)} for title, picture in row.pictures.items()
            ],
        }
        for row in rows
    ]


def _state(marks: LandmarkSet) -> str:
    """State of an image to look at; empty otherwise."""
    return "" if marks.image_state is None else _STATES.get(marks.image_state, "")
