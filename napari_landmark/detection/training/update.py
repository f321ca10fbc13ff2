"""Update of a trained model with corrections: minutes instead of a training from the beginning.

Embedding and patch embedding learn nothing from landmarks, so they stay. Detector and patch detector go on from where
they are, on all annotations and on the model's own predictions, which are moved first by what the corrections have in
common.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.study.study import Study
from napari_landmark.detection.detector.correction_offsets import CorrectionOffsets, learn_offsets
from napari_landmark.detection.detector.pseudo_labeller import LEAST_WEIGHT
from napari_landmark.detection.detector.pseudo_labels import PseudoLabels
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.predictor import Predictor
from napari_landmark.detection.model.store import default_folder, load_model
from napari_landmark.detection.refinement.local_refinement import position_prior
from napari_landmark.detection.training.cohort_poses import CohortPoses
from napari_landmark.detection.training.stages import Stages
from napari_landmark.detection.training.task import TrainingMonitor, TrainingTask
from napari_landmark.learning.loop import History
from napari_landmark.progress import ProgressEvent

MOST_UPDATED = 100
"""Images at most whose predictions are learned from, beside the annotated ones; each takes as long as a detection."""


class Update(Stages):
    """Training that goes on from a model, run once.

    Parameters
    ----------
    task : TrainingTask
    record : dict
        See `Stages`.
    monitor : TrainingMonitor
    base : LandmarkModel
        Model that `check_base` accepts; its networks are trained in place.
    same_images : bool
        Whether it was trained on these images, so that their poses are known.
    """

    def __init__(
        self,
        task: TrainingTask,
        record: dict[str, Any],
        monitor: TrainingMonitor,
        base: LandmarkModel,
        *,
        same_images: bool,
    ) -> None:
        super().__init__(task, record, monitor)
        self.base, self._same_images = base, same_images
        self._learned = frozenset(base.record.get("annotated", base.record.get("templates", ())))
        self.offsets: CorrectionOffsets | None = None

    def _run(self) -> tuple[LandmarkModel, list[History]]:
        base = self.base
        generator = torch.Generator().manual_seed(self.task.options.seed)
        self._take_poses(base)
        self.descriptors = self._describe(base.embedding)
        detector, refiner = base.detector, base.refiner
        if detector is None or refiner is None:
            raise ValueError("an update of a model without a detector")
        self.refiner, self.patch_detector = refiner, base.patch_detector
        labels = self._kept("updated", self._predicted)
        if labels is not None:
            self.refiner = self._describe_patches(refiner.network)
            self._keep_consensus(labels)
            self._detector_stage(detector, base.embedding, labels, generator, retrain=True)
            self._train_patch_detector(labels, generator)
        self._complete()
        return self._model(base.embedding, detector), self.histories

    def _take_poses(self, base: LandmarkModel) -> None:
        """Draw the images in their known poses; of other images than those of the model, find them."""
        cohort = self.task.cohort
        aside = self.record.get("poses", {}).get("left_aside", {})
        # The annotation of an image that was left aside tells its pose.
        told = any(cohort.names[image.index] in aside for image in self.task.annotated)
        if told or not self._same_images:
            self._find_poses(base.embedding)
            return
        self.poses = CohortPoses(
            {cohort.index(name): pose for name, pose in base.poses.items() if name in cohort},
            {cohort.index(name): reason for name, reason in aside.items() if name in cohort},
        )
        self._draw(self.poses.poses)

    def _predicted(self) -> PseudoLabels | None:
        """Pseudo-labels: predictions of the model, moved by the offsets of new corrections; None if cancelled."""
        task, count = self.task, len(self.task.study.schema)
        annotated = {image.index: image.positions for image in task.annotated}
        others = [number for number in range(len(task.cohort)) if number not in annotated]
        spread = np.linspace(0, len(others) - 1, min(len(others), MOST_UPDATED)).round().astype(int)
        numbers = [number for number in np.unique(spread) if others[number] not in self.poses.aside]
        searched = sorted({*annotated, *(others[number] for number in numbers)})
        positions = np.full((len(task.cohort), count, len(task.cohort.canvas)), np.nan)
        consensus = np.full(positions.shape[:2], np.nan)
        for done, number in enumerate(searched, 1):
            if self.monitor.cancelled:
                return None
            positions[number], consensus[number] = self.base.locate(task.cohort.working(number))
            if self.monitor.progress:
                self.monitor.progress(ProgressEvent("detecting landmarks", done / len(searched)))
        new = [image for image in task.annotated[1:] if task.cohort.names[image.index] not in self._learned]
        if new:
            corrections = np.stack([image.positions for image in new])
            self.offsets = learn_offsets(
                task.annotated[0].positions, positions[[image.index for image in new]], corrections
            )
            positions[searched] = self.offsets.apply(positions[searched])
        for number, marks in annotated.items():
            known = np.isfinite(marks).all(-1)
            positions[number][known] = marks[known]
        weights = np.nan_to_num(np.clip(consensus + LEAST_WEIGHT, 0, 1))
        weights[~np.isfinite(positions).all(-1)] = 0
        prior = position_prior(self.base.embedding.strides[-1])
        return PseudoLabels(positions, weights, prior, consensus, tuple(annotated))


def check_base(base: Predictor, study: Study, cohort: Cohort, *, name: str) -> LandmarkModel:
    """The model named `name`, if a training of the study can go on from it.

    Raises
    ------
    InputError
        With `ErrorCode.NO_UPDATE`: it has other landmarks or another working grid, is of volumes, or its training was
        stopped early.
    """
    reason = ""
    if not isinstance(base, LandmarkModel):
        reason = "models of volumes are not updated"
    elif base.detector is None or base.refiner is None:
        reason = "its training was stopped before it had a detector"
    elif list(base.schema.names) != list(study.schema.names):
        reason = "the study's landmarks have changed since"
    elif tuple(base.canvas) != tuple(cohort.canvas):
        grids = (" x ".join(str(side) for side in reversed(shape)) for shape in (base.canvas, cohort.canvas))
        reason = "its working grid has {} pixels, that of the images {}".format(*grids)
    if reason or not isinstance(base, LandmarkModel):
        raise InputError(f"model {name}: cannot go on from it: {reason}", code=ErrorCode.NO_UPDATE)
    return base


def update_obstacle(study: Study, cohort: Cohort) -> str:
    """Why a training of the study cannot go on from its newest complete model, as a line; empty where it can."""
    folder = default_folder(study)
    if folder is None:
        return "there is no complete model to go on from"
    try:
        check_base(load_model(study, name=folder.name, device="cpu"), study, cohort, name=folder.name)
    except InputError as error:
        return str(error)
    return ""
