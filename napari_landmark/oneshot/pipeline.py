"""Everything in order: from a study with one annotated image to a model and predictions for the cohort."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from napari_landmark.data.atomic import atomic_write
from napari_landmark.data.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study import Study
from napari_landmark.data.study_lock import TRAINING, StudyLock
from napari_landmark.learning.checkpoint import load_tensors, save_tensors
from napari_landmark.learning.device import Device, choose_device
from napari_landmark.learning.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.learning.pyramid import COARSEST_STRIDE
from napari_landmark.learning.run import Checkpoint, History
from napari_landmark.oneshot.detector import DetectorConfig, DetectorNetwork, TrainingLabels, train_detector
from napari_landmark.oneshot.embedding import Embedding, EmbeddingConfig, train_embedding
from napari_landmark.oneshot.model import LandmarkModel
from napari_landmark.oneshot.model_folders import (
    new_folder,
    recorded_options,
    resume_state,
    training_record,
    unfinished_folder,
)
from napari_landmark.oneshot.options import TrainingOptions
from napari_landmark.oneshot.preview import Preview, with_preview
from napari_landmark.oneshot.pseudolabels import Template, describe_templates, match_cohort, refine
from napari_landmark.oneshot.templates import called_missing, find_templates

_EMBEDDING_SIDE = 384  # longest side that the embedding sees; finer places are the detector's task
_LABELS = "labels.safetensors"
_DETECTOR_PREVIEW = 0.4  # of its training; until then the embedding knows better


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
        options, same_templates = recorded_options(folder, options, state)
        if not same_templates:  # the labels of the other images came from what the templates were then
            (folder / _LABELS).unlink(missing_ok=True)
    else:
        folder = new_folder(study)
        options = options.for_canvas(cohort.canvas)
    record = training_record(cohort, templates, options, device, state)
    atomic_write(folder / "run.json", json.dumps(record, indent=1) + "\n")
    study.log({"event": "training started", "model": folder.name, **record["options"], "device": str(device)})
    training = _Training(
        study, cohort, templates, options, device, folder, record, resume, progress, cancel, preview
    )
    report = training.run()
    report.seconds = time.monotonic() - started
    histories = [history.to_json() for history in report.histories]
    summary = {"cancelled": report.cancelled, "seconds": round(report.seconds, 1), "stages": histories}
    atomic_write(folder / "history.json", json.dumps(summary) + "\n")
    if not report.cancelled:
        for leftover in (*folder.glob("checkpoint-*.safetensors"), folder / _LABELS):
            leftover.unlink(missing_ok=True)
    event = "training cancelled" if report.cancelled else "training finished"
    study.log({"event": event, "model": folder.name, "seconds": round(report.seconds, 1)})
    return report


@dataclass
class _Training:
    """One training: what it works on, and its stages in order."""

    study: Study
    cohort: Cohort
    templates: list[Template]
    options: TrainingOptions
    device: Device
    folder: Path
    record: dict
    resume: bool
    progress: Progress | None
    cancel: CancelToken | None
    preview: Preview | None

    def run(self) -> TrainingReport:
        torch.manual_seed(self.options.seed)
        generator = torch.Generator().manual_seed(self.options.seed)
        report = TrainingReport(self.folder)
        embedding = Embedding(embedding_config(self.cohort.canvas))
        report.histories += train_embedding(
            embedding,
            self.cohort,
            device=self.device,
            generator=generator,
            self_budget=self.options.budget("self"),
            cross_budget=self.options.budget("cross"),
            checkpoints=[self._checkpoint("self"), self._checkpoint("cross")],
            progress=with_preview(
                self.progress, self.preview, lambda: self._model(embedding, None), embedding
            ),
            cancel=self.cancel,
        )
        labels = None if _stopped(self.cancel) else self._pseudo_labels(embedding)
        detector = None if labels is None else self._detector(embedding, labels, generator, report)
        self.record["complete"] = not _stopped(self.cancel)
        model = self._model(embedding, detector)
        model.save(self.folder)
        if not _stopped(self.cancel):
            report.predictions = predict_cohort(
                model, self.cohort, study=self.study, progress=self.progress, cancel=self.cancel
            )
        report.cancelled = _stopped(self.cancel)
        return report

    def _pseudo_labels(self, embedding: Embedding) -> TrainingLabels | None:
        """Labels of all images, None if cancelled; a resumed training takes those it was interrupted with."""
        path = self.folder / _LABELS
        tensors = load_tensors(path)[0] if self.resume and path.exists() else {}
        shape = (len(self.cohort), *self.templates[0].positions.shape)
        if "weights" in tensors and tensors.get("positions", torch.empty(0)).shape == shape:
            positions, weights = tensors["positions"].numpy(), tensors["weights"].numpy()
        else:
            descriptors = describe_templates(embedding, self.cohort, self.templates, self.device)
            matches = match_cohort(
                embedding,
                self.cohort,
                descriptors,
                device=self.device,
                progress=self.progress,
                cancel=self.cancel,
            )
            if _stopped(self.cancel):
                return None
            positions, weights = refine(matches, embedding, self.cohort, descriptors, device=self.device)
            # Before persons' words come in: those may be others when the training goes on.
            found = {"positions": torch.from_numpy(positions), "weights": torch.from_numpy(weights)}
            save_tensors(path, {name: values.float() for name, values in found.items()})
        for template in self.templates:
            known = ~np.isnan(template.positions[:, 0])
            positions[template.index][known] = template.positions[known]
            weights[template.index] = known
        weights[called_missing(self.study, self.cohort)] = 0
        return TrainingLabels(
            torch.from_numpy(positions).float(),
            torch.from_numpy(weights).float(),
            tuple(template.index for template in self.templates),
        )

    def _detector(
        self,
        embedding: Embedding,
        labels: TrainingLabels,
        generator: torch.Generator,
        report: TrainingReport,
    ) -> DetectorNetwork | None:
        config = DetectorConfig(
            len(self.study.schema), len(self.cohort.canvas), channels=embedding.config.channels
        )
        detector = DetectorNetwork(config)
        detector.pyramid.load_state_dict(embedding.pyramid.state_dict())
        budget = self.options.budget("detector")
        history = train_detector(
            detector,
            self.cohort,
            labels,
            device=self.device,
            generator=generator,
            budget=budget,
            checkpoint=self._checkpoint("detector"),
            progress=with_preview(
                self.progress,
                self.preview,
                lambda: self._model(embedding, detector),
                detector,
                after=_DETECTOR_PREVIEW,
            ),
            cancel=self.cancel,
        )
        report.histories.append(history)
        # A detector stopped in its first half is worse than the embedding it started from.
        early = history.cancelled and budget.fraction(history.steps, history.seconds) < 0.5
        return None if early else detector

    def _model(self, embedding: Embedding, detector: DetectorNetwork | None) -> LandmarkModel:
        return LandmarkModel(
            self.study.schema,
            self.cohort.canvas,
            embedding,
            describe_templates(embedding, self.cohort, self.templates, self.device),
            detector,
            device=self.device,
            record=self.record,
        )

    def _checkpoint(self, stage: str) -> Checkpoint:
        return Checkpoint(self.folder / f"checkpoint-{stage}.safetensors", self.resume)


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
        if _stopped(cancel):
            break
        found[name] = model.detect_in_cohort(cohort, number).landmarks
        if study is not None:
            study.save_predictions(name, found[name], cohort.geometry(number))
        if progress:
            progress(ProgressEvent("predicting the cohort", (number + 1) / len(cohort)))
    return found


def embedding_config(canvas: tuple[int, ...]) -> EmbeddingConfig:
    """The embedding for a canvas: shrunk to `_EMBEDDING_SIDE` pixels at most, where the sides can be divided."""
    wanted = max(canvas) / _EMBEDDING_SIDE
    possible = [
        n for n in range(1, math.ceil(wanted) + 1) if not any(side % (n * COARSEST_STRIDE) for side in canvas)
    ]
    return EmbeddingConfig(len(canvas), max(possible))


def _stopped(cancel: CancelToken | None) -> bool:
    return cancel is not None and cancel.cancelled
