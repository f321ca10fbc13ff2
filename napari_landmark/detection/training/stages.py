"""The stages of a training, in order: embedding, matching, close-up, detector, and the detector again.

After each of them a training can be stopped with a model that works, and gone on with later.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.study.study import Study
from napari_landmark.detection.detector.detector import (
    DetectorConfig,
    DetectorNetwork,
    TrainingLabels,
    train_detector,
)
from napari_landmark.detection.detector.pseudo_labels import PseudoLabeller, PseudoLabels
from napari_landmark.detection.embedding.embedding import Embedding, EmbeddingConfig, train_embedding
from napari_landmark.detection.embedding.template_matching import Template, describe_templates
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.refinement.local_refinement import LocalRefiner, build_local_refiner
from napari_landmark.detection.refinement.patch_embedding import (
    PatchEmbedding,
    PatchEmbeddingConfig,
    train_patch_embedding,
)
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.preview import Preview, with_preview
from napari_landmark.detection.training.templates import called_missing
from napari_landmark.learning.checkpoint import load_tensors, save_tensors
from napari_landmark.learning.device import Device
from napari_landmark.learning.loop import Budget, Checkpoint, History
from napari_landmark.learning.unet import COARSEST_STRIDE
from napari_landmark.progress import CancelToken, Progress

KEPT_LABELS = "labels-{}.safetensors"
_EMBEDDING_SIDE = 384  # longest side that the embedding sees; finer places are for close-up and detector
_DETECTOR_PREVIEW = 0.4  # of its training; until then the embedding knows better


@dataclass
class Stages:
    """One training: what it works on, and its stages in order.

    Parameters
    ----------
    folder : Path
        Of the model: checkpoints and found labels are kept there until the training is complete.
    record : dict
        Goes into the model; `run` notes there whether the training is complete.
    resume : bool
        Go on from what `folder` holds.
    """

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
    histories: list[History] = field(init=False, default_factory=list)
    look: LocalRefiner | None = field(init=False, default=None)

    def run(self) -> tuple[LandmarkModel, list[History]]:
        """The model, and how each stage went; after a cancel what can be said from what was learned."""
        torch.manual_seed(self.options.seed)
        generator = torch.Generator().manual_seed(self.options.seed)
        embedding = Embedding(embedding_config(self.cohort.canvas))
        self.histories += train_embedding(
            embedding,
            self.cohort,
            device=self.device,
            generator=generator,
            self_budget=self.options.budget("self"),
            cross_budget=self.options.budget("cross"),
            batch_factor=self.options.batch_factor,
            checkpoints=[self._checkpoint("self"), self._checkpoint("cross")],
            progress=with_preview(
                self.progress, self.preview, lambda: self._model(embedding, None), embedding
            ),
            cancel=self.cancel,
        )
        labeller = PseudoLabeller(self.cohort, self.templates, self.device, self.progress, self.cancel)
        places = self._kept("places", lambda: labeller.match(embedding))
        if places is not None:
            self.look = self._close_up(places, generator)
            places = self._kept("patch", lambda: labeller.look(self.look, places))
        self._note_support(places)
        detector = None if places is None else self._detector(embedding, labeller, places, generator)
        self.record["complete"] = not stopped(self.cancel)
        return self._model(embedding, detector), self.histories

    def _kept(self, name: str, find: Callable[[], PseudoLabels | None]) -> PseudoLabels | None:
        """What `find` finds, None if cancelled; a resumed training takes what it was interrupted with."""
        if stopped(self.cancel):
            return None
        path = self.folder / KEPT_LABELS.format(name)
        tensors = load_tensors(path)[0] if self.resume and path.exists() else {}
        shape = (len(self.cohort), *self.templates[0].positions.shape)
        complete = {"positions", "weights", "prior"} <= tensors.keys()
        if complete and tensors["positions"].shape == shape and tensors["weights"].shape == shape[:2]:
            positions, weights = (tensors[key].double().numpy() for key in ("positions", "weights"))
            support = tensors["support"].double().numpy() if "support" in tensors else None
            return PseudoLabels(positions, weights, float(tensors["prior"]), support)
        places = find()
        if places is not None:
            found = {
                "positions": places.positions,
                "weights": places.weights,
                "prior": np.array(places.prior),
            }
            if places.support is not None:
                found["support"] = places.support
            save_tensors(path, {key: torch.from_numpy(value).float() for key, value in found.items()})
        return places

    def _note_support(self, places: PseudoLabels | None) -> None:
        """How surely each landmark is found again in this cohort: a sign of how far it may be off."""
        if places is None or places.support is None or self.look is None:
            return
        others = np.delete(places.support, [t.index for t in self.templates], axis=0)
        others = others[~np.isnan(others).all(1)]
        if len(others):
            self.look = replace(self.look, typical=others.mean(0))

    def _taught(self, places: PseudoLabels) -> TrainingLabels:
        """PseudoLabels with what persons said instead of what was found."""
        positions, weights = places.positions.copy(), places.weights.copy()
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

    def _close_up(self, places: PseudoLabels, generator: torch.Generator) -> LocalRefiner | None:
        """A close-up of the landmarks, None if it was stopped early: it knows too little to move a place."""
        labels = self._taught(places)
        network = PatchEmbedding(PatchEmbeddingConfig.for_canvas(self.cohort.canvas))
        budget = self.options.budget("patch")
        history = train_patch_embedding(
            network,
            self.cohort,
            labels.positions.masked_fill(labels.weights[..., None] <= 0, float("nan")),
            device=self.device,
            generator=generator,
            budget=budget,
            batch_factor=self.options.batch_factor,
            checkpoint=self._checkpoint("patch"),
            progress=self.progress,
            cancel=self.cancel,
        )
        self.histories.append(history)
        if _stopped_early(history, budget):
            return None
        return build_local_refiner(network, self.cohort, self.templates, self.device)

    def _detector(
        self, embedding: Embedding, labeller: PseudoLabeller, places: PseudoLabels, generator: torch.Generator
    ) -> DetectorNetwork | None:
        """A detector, taught again with what it finds itself, looked at closely; None if stopped early."""
        config = DetectorConfig(
            len(self.study.schema), len(self.cohort.canvas), channels=embedding.config.channels
        )
        detector = DetectorNetwork(config)
        detector.pyramid.load_state_dict(embedding.pyramid.state_dict())
        history = self._teach(detector, embedding, places, generator, again=False)
        self.histories.append(history)
        if _stopped_early(history, self.options.budget("detector")):
            return None  # worse than the embedding it started from
        if not history.cancelled and self.look is not None:
            again = self._kept("retrain", lambda: self._found_again(detector, labeller, places.numbers))
            self._note_support(again)
            if again is not None:
                self.histories.append(self._teach(detector, embedding, again, generator, again=True))
        return detector

    def _found_again(
        self, detector: DetectorNetwork, labeller: PseudoLabeller, numbers: np.ndarray
    ) -> PseudoLabels | None:
        detected = labeller.detect(detector, numbers)
        return None if detected is None else labeller.look(self.look, detected)

    def _teach(
        self,
        detector: DetectorNetwork,
        embedding: Embedding,
        places: PseudoLabels,
        generator: torch.Generator,
        *,
        again: bool,
    ) -> History:
        stage = "retrain" if again else "detector"
        progress = with_preview(
            self.progress,
            self.preview,
            lambda: self._model(embedding, detector),
            detector,
            after=0.0 if again else _DETECTOR_PREVIEW,
        )
        return train_detector(
            detector,
            self.cohort,
            self._taught(places),
            device=self.device,
            generator=generator,
            budget=self.options.budget(stage),
            again=again,
            checkpoint=self._checkpoint(stage),
            progress=progress,
            cancel=self.cancel,
        )

    def _model(self, embedding: Embedding, detector: DetectorNetwork | None) -> LandmarkModel:
        return LandmarkModel(
            self.study.schema,
            self.cohort.canvas,
            embedding,
            describe_templates(embedding, self.cohort, self.templates, self.device),
            detector,
            refiner=self.look,
            device=self.device,
            record=self.record,
        )

    def _checkpoint(self, stage: str) -> Checkpoint:
        return Checkpoint(self.folder / f"checkpoint-{stage}.safetensors", self.resume)


def embedding_config(canvas: tuple[int, ...]) -> EmbeddingConfig:
    """The embedding for a canvas: shrunk to `_EMBEDDING_SIDE` pixels at most, where the sides can be divided."""
    wanted = max(canvas) / _EMBEDDING_SIDE
    possible = [
        n for n in range(1, math.ceil(wanted) + 1) if not any(side % (n * COARSEST_STRIDE) for side in canvas)
    ]
    return EmbeddingConfig(len(canvas), max(possible))


def _stopped_early(history: History, budget: Budget) -> bool:
    return history.cancelled and budget.fraction(history.steps, history.seconds) < 0.5


def stopped(cancel: CancelToken | None) -> bool:
    """Whether someone wants the work to end."""
    return cancel is not None and cancel.cancelled
