"""Training a registration network on unlabelled pairs of a cohort, helped by a few label maps."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.learning.device import choose_device
from napari_landmark.learning.loop import Checkpoint, run_training
from napari_landmark.progress import CancelToken, Progress
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.model import RegistrationModel
from napari_landmark.registration.options import RegistrationOptions
from napari_landmark.registration.training.dataset import LabelSource, RegistrationDataset
from napari_landmark.registration.training.record import RUN, InterruptedRun, training_record
from napari_landmark.registration.training.trainer import Trainer

_LEARNING_RATE = 2e-3
CHECKPOINT = "checkpoint.safetensors"


def train_registration(
    cohort: Cohort,
    labels: Mapping[str, LabelSource],
    *,
    options: RegistrationOptions = RegistrationOptions(),
    landmarks: Mapping[str, LandmarkSet] | None = None,
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> RegistrationModel:
    """Learn to register any two images of a cohort.

    Parameters
    ----------
    cohort : Cohort
        At least two images.
    labels : mapping of str to Path or integer array
        Label maps of a few images, by name; may be empty.
    landmarks : mapping of str to LandmarkSet, optional
        Landmarks of a template or detections, by name of the image, that guide the registration.
    folder : Path, optional
        Where the model is written; a checkpoint lies there while the training runs.
    resume : bool
        Go on from that checkpoint, with the options of that training; device and minutes may be given anew.

    Returns
    -------
    RegistrationModel
        Usable after a cancelled training, too; `record["cancelled"]` tells.

    Raises
    ------
    InputError
        Fewer than two images, a label map that does not fit, nothing to learn from, nothing to resume, or labels or
        images that are others than those of the training to go on with.
    """
    if len(cohort) < 2:
        raise InputError(f"{cohort.folder}: holds one usable image: registration needs at least two to learn")
    if resume and (folder is None or not (folder / CHECKPOINT).exists()):
        raise InputError(f"{folder}: has no interrupted training to resume", code=ErrorCode.NOTHING_TO_RESUME)
    started = time.monotonic()
    before = InterruptedRun.read(folder) if resume and folder is not None else None
    if before is not None:
        options = before.options_with(options)
    device = choose_device(options.device)
    material = RegistrationDataset(cohort, labels, device, landmarks=landmarks)
    torch.manual_seed(options.seed)
    trainer = Trainer(material, options, torch.Generator().manual_seed(options.seed))
    record = training_record(cohort, material, options, str(device))
    _check_objective(options.weights, material)
    if before is not None:
        before.check(record)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        if not resume:  # that of an earlier training would be gone on with as if it were this one's
            (folder / CHECKPOINT).unlink(missing_ok=True)
        atomic_write(folder / RUN, json.dumps(record, indent=1) + "\n")
    history = run_training(
        trainer.networks,
        trainer.step,
        stage="learning to register",
        budget=options.budget(),
        learning_rate=_LEARNING_RATE,
        generator=trainer.generator,
        checkpoint=Checkpoint(folder / CHECKPOINT, resume) if folder is not None else None,
        progress=progress,
        cancel=cancel,
    )
    record |= {
        "cancelled": history.cancelled,
        "seconds": round(time.monotonic() - started, 1),
        "history": history.to_json(),
        "terms": trainer.last_terms(),
    }
    model = RegistrationModel(
        cohort.canvas, material.labels, trainer.segmenter, trainer.network, device=device, record=record
    )
    if folder is not None:
        model.save(folder)
        if not history.cancelled:
            (folder / CHECKPOINT).unlink(missing_ok=True)
    return model


def _check_objective(weights: LossWeights, material: RegistrationDataset) -> None:
    known = [
        weights.similarity,
        weights.dice if material.labels else 0,
        weights.landmarks if material.positions.shape[1] else 0,
    ]
    if not any(known):
        raise InputError(
            "nothing is left to learn from: give similarity, or Dice with label maps, or landmarks a weight above 0"
        )
