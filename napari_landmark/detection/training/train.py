"""Everything in order: from a study with one annotated image to a model and predictions for the cohort."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.lock import TRAINING, StudyLock
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.serialization import save_model
from napari_landmark.detection.model.store import (
    new_folder,
    recorded_options,
    resume_state,
    training_record,
    unfinished_folder,
)
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.preview import Preview
from napari_landmark.detection.training.stages import KEPT_LABELS, Stages, stopped
from napari_landmark.detection.training.templates import find_templates
from napari_landmark.learning.device import choose_device
from napari_landmark.learning.loop import History
from napari_landmark.progress import CancelToken, Progress, ProgressEvent


@dataclass
class TrainingReport:
    """What a training did.

    Parameters
    ----------
    model_dir : Path
    histories : list of History
    predictions : dict
        Of the training images, by name; empty after a cancelled training.
    cancelled : bool
    seconds : float
    """

    model_dir: Path
    histories: list[History] = field(default_factory=list)
    predictions: dict[str, LandmarkSet] = field(default_factory=dict)
    cancelled: bool = False
    seconds: float = 0.0


def train(
    study: Study,
    cohort: Cohort,
    *,
    options: TrainingOptions = TrainingOptions(),
    resume: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    preview: Preview | None = None,
) -> TrainingReport:
    """Learn the cohort and its landmarks, write the model and the predictions of all images into the study.

    Every image whose landmarks a person placed or corrected serves as a template. Earlier models are kept. A
    cancelled training leaves a model that works from what was learned so far, and can be resumed.
    `preview` is called every few seconds with the model as it is then.

    Raises
    ------
    InputError
        No usable template, nothing to resume, or another program is training this study.
    """
    with StudyLock(study.folder, TRAINING):
        return _train(study, cohort, options, resume, progress, cancel, preview)


def _train(
    study: Study,
    cohort: Cohort,
    options: TrainingOptions,
    resume: bool,
    progress: Progress | None,
    cancel: CancelToken | None,
    preview: Preview | None,
) -> TrainingReport:
    started = time.monotonic()
    device = choose_device(options.device)
    templates = find_templates(study, cohort)
    state = resume_state(study, cohort, templates)
    if resume:
        folder = unfinished_folder(study)
        options, same_templates = recorded_options(folder, options, state, device=device)
        if not same_templates:  # the labels of the other images came from what the templates were then
            for kept in folder.glob(KEPT_LABELS.format("*")):
                kept.unlink()
    else:
        folder = new_folder(study)
        options = options.for_canvas(cohort.canvas)
    record = training_record(cohort, templates, options, device, state)
    atomic_write(folder / "run.json", json.dumps(record, indent=1) + "\n")
    study.log({"event": "training started", "model": folder.name, **record["options"], "device": str(device)})
    stages = Stages(
        study, cohort, templates, options, device, folder, record, resume, progress, cancel, preview
    )
    model, histories = stages.run()
    save_model(model, folder)
    report = TrainingReport(folder, histories)
    if not stopped(cancel):
        report.predictions = predict_cohort(model, cohort, study=study, progress=progress, cancel=cancel)
    report.cancelled = stopped(cancel)
    report.seconds = time.monotonic() - started
    histories = [history.to_json() for history in report.histories]
    summary = {"cancelled": report.cancelled, "seconds": round(report.seconds, 1), "stages": histories}
    atomic_write(folder / "history.json", json.dumps(summary) + "\n")
    if not report.cancelled:
        for leftover in (*folder.glob("checkpoint-*.safetensors"), *folder.glob(KEPT_LABELS.format("*"))):
            leftover.unlink(missing_ok=True)
    event = "training cancelled" if report.cancelled else "training finished"
    study.log({"event": event, "model": folder.name, "seconds": round(report.seconds, 1)})
    return report


def predict_cohort(
    model: LandmarkModel,
    cohort: Cohort,
    *,
    study: Study | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> dict[str, LandmarkSet]:
    """Landmarks of every image of the cohort, by name; written to the study where one is given."""
    found = {}
    for number, name in enumerate(cohort.names):
        if stopped(cancel):
            break
        found[name] = model.detect_in_cohort(cohort, number).landmarks
        if study is not None:
            study.save_predictions(name, found[name], cohort.geometry(number))
        if progress:
            progress(ProgressEvent("predicting the cohort", (number + 1) / len(cohort)))
    return found
