"""Registering a pair and training a registration as long work: the same functions as the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.data.study.lock import TRAINING as TRAINING_LOCK
from napari_landmark.data.study.lock import StudyLock
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.jobs.open_study import gather
from napari_landmark.gui.jobs.pair_inputs import PairInputs
from napari_landmark.gui.layers.registration_views import Views, draw_views
from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.widgets.pair_numbers import PairNumbers, measure
from napari_landmark.progress import Cancelled, CancelToken, Progress, ProgressEvent

if TYPE_CHECKING:
    from napari_landmark.registration.result import Registration

# Modules that need torch are imported where they are used: opening a widget does not wait for it.

_SMALLER = "Close other programs; if that does not help, crop the images or save them at a lower resolution."
REGISTERING, TRAINING = "Registering", "Training the registration"


@dataclass(frozen=True, eq=False)
class PairResult:
    """A registered pair and everything that is shown of it.

    Parameters
    ----------
    pair : PairInputs
    registration : Registration
    numbers : PairNumbers
    views : Views
    guided : bool
        Whether the landmarks guided the registration.
    cancelled : bool
        Whether it was stopped early.
    """

    pair: PairInputs
    registration: Registration
    numbers: PairNumbers
    views: Views
    guided: bool = False
    cancelled: bool = False


def register_job(
    session: Session,
    pair: PairInputs,
    *,
    model: Path | None = None,
    weights: Mapping[int, float] | None = None,
    guide: bool = True,
    device: str = "auto",
) -> Job:
    """Long work that registers a pair; succeeds with a `PairResult`, cancelled or not.

    Parameters
    ----------
    model : Path, optional
        Folder of a registration model; without one the pair is registered from nothing.
    weights : mapping of int to float, optional
        How much single labels count; for those not named what the model was trained with, else 1.
    guide : bool, optional
        Whether landmarks guide the registration; they are measured in any case.
    """

    def work(progress: Progress, cancel: CancelToken) -> PairResult:
        progress(ProgressEvent("Preparing", 0.0))
        from napari_landmark.learning.device import choose_device
        from napari_landmark.registration.model import RegistrationModel
        from napari_landmark.registration.options import PAIR_WEIGHTS, PairOptions
        from napari_landmark.registration.pairwise.register import register_pair

        loaded = None if model is None else RegistrationModel.load(model, device=choose_device(device))
        own = PAIR_WEIGHTS[pair.fixed.geometry.ndim] if loaded is None else loaded.weights
        registration = register_pair(
            pair.fixed,
            pair.moving,
            model=loaded,
            fixed_labels=pair.fixed_labels,
            moving_labels=pair.moving_labels,
            fixed_landmarks=pair.fixed_landmarks if guide else None,
            moving_landmarks=pair.moving_landmarks if guide else None,
            options=PairOptions(device=device, weights=own.with_regions(weights or {})),
            progress=progress,
            cancel=cancel,
        )
        progress(ProgressEvent("Warping", 1.0))
        transform = registration.transform
        return PairResult(
            pair,
            registration,
            measure(transform, pair),
            draw_views(transform, pair),
            guide and pair.moving_landmarks is not None,
            cancel.cancelled,
        )

    job = Job(REGISTERING, work, smaller=_SMALLER)
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job


@dataclass(frozen=True)
class TrainedRegistration:
    """What came of a training.

    Parameters
    ----------
    folder : Path
        Of the model.
    record : mapping
        As in the model's description.
    """

    folder: Path
    record: Mapping[str, Any]

    def describe(self) -> str:
        """In words."""
        minutes = f"{self.record.get('seconds', 0) / 60:.1f} minutes"
        if self.record.get("cancelled"):
            return f"Stopped after {minutes}. Model {self.folder.name} works from what was learned so far."
        return f"✓ Trained in {minutes}: model {self.folder.name}. It is chosen for the next pair."


def train_registration_job(
    session: Session,
    *,
    labels: Path | None,
    minutes: float | None = None,
    weights: Mapping[int, float] | None = None,
    landmarks: bool = False,
    device: str = "auto",
    resume: Path | None = None,
) -> Job:
    """Long work that trains a registration on the images of the open study.

    Succeeds with a `TrainedRegistration`, cancelled or not; None where it was cancelled before it began.

    Parameters
    ----------
    labels : Path, optional
        Folder of label maps of some of the images.
    minutes : float, optional
        How long; a good default for the device if not given.
    weights : mapping of int to float, optional
        How much single labels count.
    landmarks : bool, optional
        Whether what is known of the study's landmarks guides it.
    resume : Path, optional
        Folder of a training that was stopped, to go on with.
    """
    study = session.study
    assert study is not None and session.cohort is not None and session.known is not None
    ndim = session.cohort.ndim
    if resume is not None:
        landmarks = bool(_run_record(resume).get("landmarks"))
    known = {name: session.known.result(name) for name in session.names} if landmarks else {}

    def work(progress: Progress, cancel: CancelToken) -> TrainedRegistration | None:
        with StudyLock(study.folder, TRAINING_LOCK):
            return train(progress, cancel)

    def train(progress: Progress, cancel: CancelToken) -> TrainedRegistration | None:
        progress(ProgressEvent("Preparing", 0.0))
        from napari_landmark.learning.device import choose_device
        from napari_landmark.registration.label_map import find_label_maps
        from napari_landmark.registration.losses import LossWeights
        from napari_landmark.registration.options import WORKING_SIZE, default_registration_options
        from napari_landmark.registration.training.train import train_registration

        preferences = replace(Preferences.read(), working_size=WORKING_SIZE[ndim])
        try:
            cohort = gather(study, preferences, progress=progress, cancel=cancel)
        except Cancelled:
            return None
        maps = {} if labels is None else find_label_maps(labels, cohort.names)
        if resume is not None and not maps and _run_record(resume).get("labelled"):
            raise InputError(
                "choose the folder of label maps that this training began with, then press Resume."
            )
        options = default_registration_options(
            choose_device(device), minutes=minutes, weights=LossWeights(regions=dict(weights or {}))
        )
        folder = resume or _new_folder(study)
        model = train_registration(
            cohort,
            maps,
            options=options,
            landmarks={name: marks for name, marks in known.items() if name in cohort.names},
            folder=folder,
            resume=resume is not None,
            progress=progress,
            cancel=cancel,
        )
        return TrainedRegistration(folder, model.record)

    job = Job(TRAINING, work, smaller=_SMALLER)
    job.succeeded.connect(
        lambda done: session.message.emit("info", "Cancelled." if done is None else done.describe())
    )
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job


def save_job(session: Session, result: PairResult, folder: Path) -> Job:
    """Work that writes a registered pair into a folder: the same files as `napari-landmark register pair`."""

    def work(progress: Progress, cancel: CancelToken) -> list[Path]:
        from napari_landmark.registration.pairwise.output import RegisteredPair, write_pair

        progress(ProgressEvent("Writing", 0.0))
        pair = result.pair
        written = RegisteredPair(
            pair.fixed,
            pair.moving,
            result.registration,
            pair.fixed_labels,
            pair.moving_labels,
            pair.fixed_landmarks,
            pair.moving_landmarks,
            guided=result.guided,
            cancelled=result.cancelled,
        )
        return write_pair(written, folder)

    job = Job("Writing", work)
    job.succeeded.connect(
        lambda written: session.message.emit("info", f"{len(written)} files written to {folder}")
    )
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job


def registration_models(study: Study | None) -> dict[str, Path]:
    """Registration models of a study, newest first: what to call them, and their folders."""
    if study is None:
        return {}
    models = {}
    for path in sorted(_models_dir(study).glob("*/model.json"), key=lambda p: p.parent.name, reverse=True):
        try:
            early = json.loads(path.read_text(encoding="utf-8"))["training"]["cancelled"]
        except (OSError, ValueError, KeyError, TypeError):  # named when the model is loaded
            early = False
        name = f"Model {path.parent.name} of this study"
        models[f"{name} (stopped early)" if early else name] = path.parent
    return models


def stopped_registration(study: Study | None) -> Path | None:
    """Folder of the newest registration training of a study that was stopped and can go on."""
    if study is None:
        return None
    stopped = (path.parent for path in _models_dir(study).glob("*/checkpoint.safetensors"))
    return max((folder for folder in stopped if (folder / "run.json").exists()), default=None)


def _run_record(folder: Path) -> dict[str, Any]:
    """What a stopped training ran with; empty where that cannot be read, which the training names."""
    try:
        record = json.loads(read_small_text(folder / "run.json"))
    except (InputError, OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _models_dir(study: Study) -> Path:
    return study.folder / "registration"


def _new_folder(study: Study) -> Path:
    numbers = [int(path.name) for path in _models_dir(study).glob("*") if path.name.isdigit()]
    folder = _models_dir(study) / f"{max(numbers, default=0) + 1:03d}"
    folder.mkdir(parents=True)
    return folder
