"""Training of a registration network on pairs of a cohort, guided by a few label maps and landmarks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.learning.data_parallel import ALONE, Ranks
from napari_landmark.learning.device import choose_device
from napari_landmark.learning.loop import Checkpoint, History, TrainingClock, run_training
from napari_landmark.learning.out_of_memory import with_smaller_batches
from napari_landmark.learning.seeding import seeded
from napari_landmark.learning.threads import thread_limit
from napari_landmark.learning.training_record import compare_images, write_record
from napari_landmark.progress import CancelToken, Progress
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.model import RegistrationModel
from napari_landmark.registration.options import RegistrationOptions
from napari_landmark.registration.training.batches import RegistrationBatches
from napari_landmark.registration.training.dataset import LabelSource, RegistrationDataset
from napari_landmark.registration.training.record import InterruptedRun, training_record
from napari_landmark.registration.training.registration_card import write_registration_card
from napari_landmark.registration.training.trainer import Trainer

_LEARNING_RATE = 2e-3
CHECKPOINT = "checkpoint.safetensors"


@thread_limit()
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
    full_hash: bool = False,
    ranks: Ranks = ALONE,
) -> RegistrationModel:
    """Train a model that registers any two images of a cohort.

    Parameters
    ----------
    cohort : Cohort
        At least two images.
    labels : mapping of str to Path or integer array
        Label maps of some images, by name; may be empty.
    landmarks : mapping of str to LandmarkSet, optional
        Manual or predicted landmarks of some images, by name, that guide the registration.
    folder : Path, optional
        Folder of the model, and of a checkpoint during the training.
    resume : bool
        Resume from that checkpoint, with the options of that training except device and minutes.
    full_hash : bool, optional
        Record a fingerprint over every byte of the images; a resumed training keeps the kind it began with.
    ranks : Ranks, optional
        Processes that train together, each of which calls this with the same arguments except its device: a step learns
        from the batches of all. The first one writes.

    Returns
    -------
    RegistrationModel
        Usable after a cancelled training, too; `record["cancelled"]` is then true.

    Raises
    ------
    Cancelled
        `cancel` was set while the images were read for their fingerprint.
    InputError
        Fewer than two images, a label map of another size than its image, no term of the loss that can be computed,
        no checkpoint to resume, or other images, labels or landmarks than those of the training to resume.
    """
    if len(cohort) < 2:
        raise InputError(f"{cohort.folder}: holds one usable image: registration needs at least two")
    if resume and (folder is None or not (folder / CHECKPOINT).exists()):
        raise InputError(f"{folder}: has no interrupted training to resume", code=ErrorCode.NOTHING_TO_RESUME)
    started = time.monotonic()
    before = InterruptedRun.read(folder) if resume and folder is not None else None
    if before is not None:
        options = before.options_with(options)
        full_hash = before.record.has_full_fingerprint
    device = choose_device(options.device)
    dataset = RegistrationDataset(cohort, labels, device, landmarks=landmarks)
    digest = compare_images(cohort, full=full_hash, progress=progress, cancel=cancel)
    with seeded(options.seed, device.torch_device):
        generator = ranks.generator(options.seed)
        trainer = Trainer(dataset, options)
        record = training_record(cohort, dataset, options, str(device), data_fingerprint=digest)
        _check_terms(options.weights, dataset)
        if before is not None:
            before.check(record)
        if folder is not None and ranks.is_first:
            folder.mkdir(parents=True, exist_ok=True)
            if not resume:  # a checkpoint of an earlier training must not be taken for one of this training
                (folder / CHECKPOINT).unlink(missing_ok=True)
            write_record(folder, record)
        clock = TrainingClock()
        first = trainer.batch

        def run(size: int) -> History:
            batches = RegistrationBatches(
                dataset, size=size, warped_labels=options.warped_labels, generator=generator
            )
            goes_on = resume or size != first
            return run_training(
                trainer.networks,
                trainer.loss,
                batches.batches(clock),
                clock=clock,
                stage="training registration",
                budget=options.budget(),
                learning_rate=_LEARNING_RATE,
                generator=generator,
                checkpoint=Checkpoint(folder / CHECKPOINT, goes_on) if folder is not None else None,
                progress=progress,
                cancel=cancel,
                ranks=ranks,
            )

        # One process that lacks memory cannot change the batches of the others.
        least = trainer.least_batch if ranks.size == 1 else first
        history = with_smaller_batches(run, first, device=device, least=least)
    record |= {
        "cancelled": history.cancelled,
        "seconds": round(time.monotonic() - started, 1),
        "history": history.to_json(),
        "terms": trainer.last_terms(),
        **({"processes": ranks.size} if ranks.size > 1 else {}),
    }
    model = RegistrationModel(
        cohort.canvas, dataset.labels, trainer.segmenter, trainer.network, device=device, record=record
    )
    if folder is not None and ranks.is_first:
        model.save(folder)
        write_registration_card(folder, record)
        if not history.cancelled:
            (folder / CHECKPOINT).unlink(missing_ok=True)
    return model


def _check_terms(weights: LossWeights, dataset: RegistrationDataset) -> None:
    """Raise `InputError` if no term compares the images of a pair."""
    comparing = [
        weights.similarity,
        weights.dice if dataset.labels else 0,
        weights.landmarks if dataset.positions.shape[1] else 0,
    ]
    if not any(comparing):
        raise InputError(
            "no term of the loss compares the images: give similarity, or Dice with label maps, or landmarks a "
            "weight above 0"
        )
