"""Training a registration model as long work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_landmark.backend.job_record import JobRecord
from napari_landmark.backend.jobs.register_train_study import RegisterTrainStudyJob
from napari_landmark.data.study.registration_folders import registration_models_dir
from napari_landmark.gui.jobs.process_job import ProcessJob
from napari_landmark.gui.session.registration_models import read_run_record
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session

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
        Duration in `seconds`, and whether it was `cancelled`.
    """

    folder: Path
    record: Mapping[str, Any]

    def describe(self) -> str:
        """Describe the result in words."""
        minutes = f"{self.record.get('seconds', 0) / 60:.1f} minutes"
        if self.record.get("cancelled"):
            return f"Stopped after {minutes}. Model {self.folder.name} can be used, with what was learned so far."
        return f"✓ Trained in {minutes}: model {self.folder.name}. It is chosen for the next pair."


def train_registration_job(
    session: Session,
    *,
    labels: Path | None = None,
    minutes: float | None = None,
    weights: Mapping[int, float] | None = None,
    landmarks: bool = False,
    device: str = "auto",
    resume: Path | None = None,
    record: JobRecord | None = None,
) -> ProcessJob:
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
    record : JobRecord, optional
        Training that an earlier viewer started, to be followed instead of a new one.
    """
    study = session.require_study()
    if resume is not None:
        landmarks = bool(read_run_record(resume).get("landmarks"))

    def make(_: Path) -> RegisterTrainStudyJob:
        return RegisterTrainStudyJob(
            study=study.folder.absolute(),
            labels=None if labels is None else labels.absolute(),
            landmarks=landmarks,
            minutes=minutes,
            device=device,
            resume=None if resume is None else resume.absolute(),
            region_weights={str(label): weight for label, weight in (weights or {}).items()},
        )

    def finish(result: dict[str, Any]) -> TrainedRegistration | None:
        if not result:
            return None
        return TrainedRegistration(registration_models_dir(study) / str(result["folder"]), result)

    job = ProcessJob(
        JobKind.TRAIN_REGISTRATION,
        make,
        finish=finish,
        about={"study": str(study.folder.absolute())},
        record=record,
        memory_advice=_MEMORY_ADVICE,
    )
    job.told.connect(lambda text: session.message.emit("info", text))
    job.succeeded.connect(
        lambda done: session.message.emit("info", "Cancelled." if done is None else done.describe())
    )
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job
