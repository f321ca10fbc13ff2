"""Training a registration model as long work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.study.lock import TRAINING, StudyLock
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.jobs.open_study import read_cohort
from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.session.registration_models import new_registration_folder, read_run_record
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.progress import Cancelled, CancelToken, Progress, ProgressEvent

# Modules that need torch are imported where they are used: opening a widget does not wait for it.

_MEMORY_ADVICE = (
    "Close other programs; if that does not help, crop the images or save them at a lower resolution."
)


@dataclass(frozen=True)
class TrainedRegistration:
    """Result of a training.

    Parameters
    ----------
    folder : Path
        Of the model.
    record : mapping
        Record of the training, as in the model's description.
    """

    folder: Path
    record: Mapping[str, Any]

    def describe(self) -> str:
        """Describe the result in words."""
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
    """Train a registration model on the images of the open study.

    Succeeds with a `TrainedRegistration`, cancelled or not; None where it was cancelled before the training.

    Parameters
    ----------
    session : Session
        With an open study.
    labels : Path or None
        Folder of label maps of some of the images.
    minutes : float, optional
        Duration; by default as suits the device.
    weights : mapping of int to float, optional
        Weights of single labels.
    landmarks : bool, optional
        Whether annotations and predictions of the study guide the training.
    device : str, optional
    resume : Path, optional
        Folder of an interrupted training to resume.
    """
    study, store, ndim = session.require_study(), session.require_store(), session.require_cohort().ndim
    if resume is not None:
        landmarks = bool(read_run_record(resume).get("landmarks"))
    names, result = frozenset(session.names if landmarks else ()), store.results()

    def work(progress: Progress, cancel: CancelToken) -> TrainedRegistration | None:
        with StudyLock(study.folder, TRAINING):
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
            cohort = read_cohort(study, preferences, progress=progress, cancel=cancel)
        except Cancelled:
            return None
        maps = {} if labels is None else find_label_maps(labels, cohort.names)
        if resume is not None and not maps and read_run_record(resume).get("labelled"):
            raise InputError(
                "choose the folder of label maps that this training began with, then press Resume."
            )
        options = default_registration_options(
            choose_device(device), minutes=minutes, weights=LossWeights(regions=dict(weights or {}))
        )
        folder = resume or new_registration_folder(study)
        model = train_registration(
            cohort,
            maps,
            options=options,
            landmarks={name: result(name) for name in cohort.names if name in names},
            folder=folder,
            resume=resume is not None,
            progress=progress,
            cancel=cancel,
        )
        return TrainedRegistration(folder, model.record)

    job = Job(JobKind.TRAIN_REGISTRATION, work, memory_advice=_MEMORY_ADVICE)
    job.succeeded.connect(
        lambda done: session.message.emit("info", "Cancelled." if done is None else done.describe())
    )
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job
