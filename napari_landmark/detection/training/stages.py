"""Stages of a training, in order: embedding, poses, matching, patch embedding, refinement, detector, retraining,
patch detector.

After each of them a training can be cancelled with a usable model, and resumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.detection.detector.detector import DetectorConfig, DetectorNetwork
from napari_landmark.detection.detector.detector_training import train_detector
from napari_landmark.detection.detector.patch_detector import PatchDetector, patch_detector_config
from napari_landmark.detection.detector.patch_detector_training import train_patch_detector
from napari_landmark.detection.detector.pseudo_labeller import PseudoLabeller
from napari_landmark.detection.detector.pseudo_labels import PseudoLabels
from napari_landmark.detection.embedding.embedding import Embedding, EmbeddingConfig
from napari_landmark.detection.embedding.embedding_training import train_embedding
from napari_landmark.detection.embedding.template_matching import Descriptors, describe_templates
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.pose.options import PoseOptions
from napari_landmark.detection.refinement.local_refinement import LocalRefiner, build_local_refiner
from napari_landmark.detection.refinement.native_refinement import NativeRefiner, build_native_refiner
from napari_landmark.detection.refinement.patch_embedding import PatchEmbedding, PatchEmbeddingConfig
from napari_landmark.detection.refinement.patch_training import train_patch_embedding
from napari_landmark.detection.training.cohort_poses import (
    CohortPoseFinder,
    CohortPoses,
    cut_borders,
    moved_templates,
    read_cohort_poses,
    write_cohort_poses,
)
from napari_landmark.detection.training.preview import preview_hook
from napari_landmark.detection.training.task import TrainingMonitor, TrainingTask
from napari_landmark.detection.training.template_choice import choose_templates
from napari_landmark.detection.training.templates import left_out_images, missing_landmarks
from napari_landmark.learning.checkpoint import load_tensors, save_tensors
from napari_landmark.learning.loop import Budget, Checkpoint, History
from napari_landmark.learning.out_of_memory import with_smaller_batches
from napari_landmark.learning.seeding import seeded
from napari_landmark.learning.unet import COARSEST_STRIDE

Trained = TypeVar("Trained")

KEPT_LABELS = "labels-{}.safetensors"
KEPT_POSES = "cohort-poses.json"
_EMBEDDING_SIDE = (
    384  # pixels of the longest side of the embedding's input; patches and detector resolve finer
)
_DETECTOR_PREVIEW = 0.4  # done part of its training, until which the embedding is the better one


class Stages:
    """One training, run once.

    Parameters
    ----------
    task : TrainingTask
    record : dict
        Goes into the model; `run` notes there whether the training is complete.
    monitor : TrainingMonitor

    Attributes
    ----------
    labels : PseudoLabels or None
        That the patch detector learned from; None before it.
    """

    def __init__(self, task: TrainingTask, record: dict[str, Any], monitor: TrainingMonitor) -> None:
        self.task, self.record, self.monitor = task, record, monitor
        self.histories: list[History] = []
        self.refiner: LocalRefiner | None = None
        self.native_refiner: NativeRefiner | None = None
        self.patch_detector: PatchDetector | None = None
        self.descriptors: Descriptors | None = None
        self.labels: PseudoLabels | None = None
        self.poses = CohortPoses()
        self._upright = task.cohort
        self._with_less_memory = False

    def run(self) -> tuple[LandmarkModel, list[History]]:
        """Train; returns the model and the history of each stage, after a cancel those so far."""
        with seeded(self.task.options.seed, self.task.device.torch_device):
            return self._run()

    def _run(self) -> tuple[LandmarkModel, list[History]]:
        monitor = self.monitor
        self._draw(cut_borders(self.task.cohort, self.task.annotated))
        task = self.task
        generator = torch.Generator().manual_seed(task.options.seed)
        embedding = Embedding(embedding_config(task.cohort.canvas))
        self.histories += self._within_memory(
            lambda: train_embedding(
                embedding,
                task.cohort,
                device=task.device,
                generator=generator,
                self_budget=self.task.options.budget("self"),
                cross_budget=self.task.options.budget("cross"),
                batch_factor=self.task.options.batch_factor,
                checkpoints=[self._checkpoint("self"), self._checkpoint("cross")],
                progress=monitor.progress,
                cancel=monitor.cancel,
                after_step=preview_hook(monitor.preview, lambda: self._model(embedding, None)),
            )
        )
        self._find_poses(embedding)
        task = self.task
        labeller = PseudoLabeller(
            task.cohort,
            task.templates,
            task.device,
            monitor.progress,
            monitor.cancel,
            annotated=task.annotated,
            aside=self.poses.aside,
        )
        # From here on the embedding does not change, so that previews need no new descriptors.
        descriptors = self.descriptors = self._describe(embedding)
        labels = self._kept("matched", lambda: labeller.match(embedding, descriptors))
        if labels is not None:
            self.refiner = self._train_refiner(labels, generator)
            labels = self._refined("refined", labeller, labels)
        detector = None if labels is None else self._train_detector(embedding, labeller, labels, generator)
        self._complete()
        return self._model(embedding, detector), self.histories

    def _complete(self) -> None:
        """Describe the templates on native pixels; note in the record whether the training is complete.

        Where only some of the annotated images are templates, the patch detector knows more than their matches: then
        only the study's template is matched, for the consensus, and others for landmarks that it lacks.
        """
        task = self.task
        if self.patch_detector is not None and self.refiner is not None:
            is_part = len(task.annotated) > len(task.templates)
            self.patch_detector = replace(self.patch_detector, is_alone=is_part)
            if is_part:
                few = choose_templates(task.templates, limit=1)
                refiner = build_local_refiner(self.refiner.network, task.cohort, few, task.device)
                self.refiner = replace(refiner, typical=self.refiner.typical)
        if self.refiner is not None and not self.monitor.cancelled:
            self.native_refiner = build_native_refiner(
                self.refiner.network, task.cohort, task.templates, task.device
            )
        self.record["complete"] = not self.monitor.cancelled

    def _within_memory(self, stage: Callable[[], Trained]) -> Trained:
        """Train a stage with `options.batch_factor`, or a half of it and so on where the memory does not suffice."""

        def train(factor: int) -> Trained:
            if factor != self.task.options.batch_factor:
                self._with_less_memory = True
                self.record["batch_factor"] = factor
                self.task = replace(self.task, options=self.task.options.with_batch_factor(factor))
            return stage()

        return with_smaller_batches(train, self.task.options.batch_factor, device=self.task.device)

    def _find_poses(self, embedding: Embedding) -> None:
        """Find the poses of all images, and draw them anew in the template's."""
        # Candidates of a volume are too many to try all of them; volumes are taken as they are.
        if self.monitor.cancelled or self.task.cohort.ndim != 2:
            return
        task, path = self.task, self.task.folder / KEPT_POSES
        found = read_cohort_poses(path, task.cohort) if task.resume else None
        if found is None:
            found = CohortPoseFinder(
                upright=self._upright,
                drawn=task.cohort,
                extractor=embedding,
                annotated=task.annotated,
                sides=task.study.sides,
                names=task.study.schema.names,
                device=task.device,
                seconds=task.options.pose_seconds,
                progress=self.monitor.progress,
                cancel=self.monitor.cancel,
            ).find()
        if found is None:
            return
        write_cohort_poses(path, found, task.cohort)
        self.poses = found
        names = task.cohort.names
        self.record["poses"] = {
            "turned": sum(not pose.is_upright for pose in found.poses.values()),
            "mirrored": sum(pose.is_mirrored for pose in found.poses.values()),
            "inverted": sum(pose.inverted for pose in found.poses.values()),
            "searched": found.searched,
            "left_aside": {names[number]: reason for number, reason in found.aside.items()},
        }
        self._draw(found.poses)

    def _draw(self, poses: Mapping[int, Pose]) -> None:
        """Draw the images in these poses for all later stages."""
        task = self.task
        if {k: pose for k, pose in poses.items() if not pose.is_upright} == task.cohort.poses:
            return
        cohort = self._upright.posed(poses, progress=self.monitor.progress)
        moved = [
            moved_templates(images, task.cohort, cohort, task.study.sides, task.study.schema.names)
            for images in (task.annotated, task.templates)
        ]
        self.task = replace(task, cohort=cohort, annotated=moved[0], templates=moved[1])

    def _kept(self, name: str, find: Callable[[], PseudoLabels | None]) -> PseudoLabels | None:
        """Pseudo-labels of an interrupted training where one is resumed, else those of `find`; None if cancelled."""
        if self.monitor.cancelled:
            return None
        task, path = self.task, self.task.folder / KEPT_LABELS.format(name)
        shape = (len(task.cohort), *task.templates[0].positions.shape)
        kept = _load_labels(path, shape) if task.resume and path.exists() else None
        if kept is not None:
            return replace(kept, annotated=tuple(image.index for image in task.annotated))
        labels = find()
        if labels is not None:
            _save_labels(path, labels)
        return labels

    def _refined(self, name: str, labeller: PseudoLabeller, labels: PseudoLabels) -> PseudoLabels | None:
        """Refined pseudo-labels, whose mean consensus the refiner keeps."""
        refiner = self.refiner
        refined = self._kept(name, lambda: None if refiner is None else labeller.refine(refiner, labels))
        self._keep_consensus(refined)
        return refined

    def _keep_consensus(self, labels: PseudoLabels | None) -> None:
        """Note the mean consensus of each landmark in the images without annotation, a sign of its error."""
        if labels is None or labels.consensus is None or self.refiner is None:
            return
        others = np.delete(labels.consensus, labels.annotated, axis=0)
        others = others[~np.isnan(others).all(1)]
        if len(others):
            self.refiner = replace(self.refiner, typical=others.mean(0))

    def _with_annotations(self, labels: PseudoLabels) -> PseudoLabels:
        """Pseudo-labels with all manual annotations instead of what was found, and none of left-out images."""
        positions, weights = labels.positions.copy(), labels.weights.copy()
        weights[left_out_images(self.task.study, self.task.cohort)] = 0
        for image in self.task.annotated:
            known = ~np.isnan(image.positions[:, 0])
            positions[image.index][known] = image.positions[known]
            weights[image.index] = known
        weights[missing_landmarks(self.task.study, self.task.cohort)] = 0
        return replace(labels, positions=positions, weights=weights)

    def _train_refiner(self, labels: PseudoLabels, generator: torch.Generator) -> LocalRefiner | None:
        """Train a patch embedding; None if it was cancelled too early to improve a position."""
        task = self.task
        labels = self._with_annotations(labels)
        positions, weights = (torch.from_numpy(a).float() for a in (labels.positions, labels.weights))
        network = PatchEmbedding(PatchEmbeddingConfig.for_canvas(task.cohort.canvas))
        history = self._within_memory(
            lambda: train_patch_embedding(
                network,
                task.cohort,
                positions.masked_fill(weights[..., None] <= 0, float("nan")),
                device=task.device,
                generator=generator,
                budget=self.task.options.budget("patch"),
                batch_factor=self.task.options.batch_factor,
                checkpoint=self._checkpoint("patch"),
                progress=self.monitor.progress,
                cancel=self.monitor.cancel,
            )
        )
        self.histories.append(history)
        if _cancelled_early(history, self.task.options.budget("patch")):
            return None
        return self._describe_patches(network)

    def _describe_patches(self, network: PatchEmbedding) -> LocalRefiner:
        return build_local_refiner(network, self.task.cohort, self.task.templates, self.task.device)

    def _train_detector(
        self, embedding: Embedding, labeller: PseudoLabeller, labels: PseudoLabels, generator: torch.Generator
    ) -> DetectorNetwork | None:
        """Train a detector, then retrain it with its own refined detections; None if cancelled early."""
        task = self.task
        config = DetectorConfig(
            len(task.study.schema), len(task.cohort.canvas), channels=embedding.config.channels
        )
        detector = DetectorNetwork(config)
        detector.pyramid.load_state_dict(embedding.pyramid.state_dict())
        history = self._detector_stage(detector, embedding, labels, generator, retrain=False)
        if _cancelled_early(history, task.options.budget("detector")):
            return None  # worse than the embedding it started from
        if not history.cancelled and self.refiner is not None:
            refiner, numbers = self.refiner, labels.numbers
            better = self._kept("detected", lambda: _detected(labeller, detector, refiner, numbers))
            self._keep_consensus(better)
            if better is not None:
                self._detector_stage(detector, embedding, better, generator, retrain=True)
                self._train_patch_detector(better, generator)
        return detector

    def _train_patch_detector(self, labels: PseudoLabels, generator: torch.Generator) -> None:
        """Train a patch detector from the patch embedding; without one if it is cancelled early."""
        if self.monitor.cancelled or self.refiner is None:
            return
        task, config = self.task, self.refiner.network.config
        self.labels = self._with_annotations(labels)
        detector = self.patch_detector
        if detector is None:
            network = DetectorNetwork(patch_detector_config(len(task.study.schema), config))
            network.pyramid.load_state_dict(self.refiner.network.pyramid.state_dict())
            detector = PatchDetector(network, config.window)
        budget = task.options.budget("patch_detector")
        history = train_patch_detector(
            detector,
            task.cohort,
            self.labels,
            device=task.device,
            generator=generator,
            budget=budget,
            checkpoint=self._checkpoint("patch_detector"),
            progress=self.monitor.progress,
            cancel=self.monitor.cancel,
        )
        self.histories.append(history)
        if not _cancelled_early(history, budget):
            self.patch_detector = detector

    def _detector_stage(
        self,
        detector: DetectorNetwork,
        embedding: Embedding,
        labels: PseudoLabels,
        generator: torch.Generator,
        *,
        retrain: bool,
    ) -> History:
        task, stage = self.task, "retrain" if retrain else "detector"
        history = train_detector(
            detector,
            task.cohort,
            self._with_annotations(labels),
            device=task.device,
            generator=generator,
            budget=task.options.budget(stage),
            retrain=retrain,
            label_factor=task.options.label_factor,
            checkpoint=self._checkpoint(stage),
            progress=self.monitor.progress,
            cancel=self.monitor.cancel,
            after_step=preview_hook(
                self.monitor.preview,
                lambda: self._model(embedding, detector),
                after=0.0 if retrain else _DETECTOR_PREVIEW,
            ),
        )
        self.histories.append(history)
        return history

    def _model(self, embedding: Embedding, detector: DetectorNetwork | None) -> LandmarkModel:
        task = self.task
        return LandmarkModel(
            task.study.schema,
            task.cohort.canvas,
            embedding,
            self.descriptors or self._describe(embedding),
            detector,
            refiner=self.refiner,
            native_refiner=self.native_refiner,
            patch_detector=self.patch_detector,
            device=task.device,
            pose_options=PoseOptions(sides=task.study.sides),
            poses={task.cohort.names[number]: pose for number, pose in task.cohort.poses.items()},
            record=self.record,
        )

    def _describe(self, embedding: Embedding) -> Descriptors:
        return describe_templates(embedding, self.task.cohort, self.task.templates, self.task.device)

    def _checkpoint(self, stage: str) -> Checkpoint:
        resume = self.task.resume or self._with_less_memory
        return Checkpoint(self.task.folder / f"checkpoint-{stage}.safetensors", resume)


def embedding_config(canvas: tuple[int, ...]) -> EmbeddingConfig:
    """Embedding for a working grid, downsampled to `_EMBEDDING_SIDE` pixels at most where its sides can be divided."""
    wanted = max(canvas) / _EMBEDDING_SIDE
    possible = [
        n for n in range(1, math.ceil(wanted) + 1) if not any(side % (n * COARSEST_STRIDE) for side in canvas)
    ]
    return EmbeddingConfig(len(canvas), max(possible))


def _detected(
    labeller: PseudoLabeller, detector: DetectorNetwork, refiner: LocalRefiner, numbers: np.ndarray
) -> PseudoLabels | None:
    detected = labeller.detect(detector, numbers.tolist())
    return None if detected is None else labeller.refine(refiner, detected)


def _cancelled_early(history: History, budget: Budget) -> bool:
    return history.cancelled and budget.fraction(history.steps, history.seconds) < 0.5


def _save_labels(path: Path, labels: PseudoLabels) -> None:
    arrays = {"positions": labels.positions, "weights": labels.weights, "prior": np.array(labels.prior)}
    if labels.consensus is not None:
        arrays["consensus"] = labels.consensus
    save_tensors(path, {key: torch.from_numpy(value).float() for key, value in arrays.items()})


def _load_labels(path: Path, shape: tuple[int, ...]) -> PseudoLabels | None:
    """Pseudo-labels of a file; None where they are of other images or landmarks."""
    tensors, _ = load_tensors(path)
    if not {"positions", "weights", "prior"} <= tensors.keys():
        return None
    if tensors["positions"].shape != shape or tensors["weights"].shape != shape[:2]:
        return None
    positions, weights = (tensors[key].double().numpy() for key in ("positions", "weights"))
    consensus = tensors["consensus"].double().numpy() if "consensus" in tensors else None
    return PseudoLabels(positions, weights, float(tensors["prior"]), consensus)
