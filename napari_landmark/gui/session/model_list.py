"""Models and trainings of the open study, read when they change and not whenever they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from psygnal import Signal

from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.choice import default_folder, model_folders, was_stopped
from napari_landmark.gui.session.registration_models import (
    RegistrationModelInfo,
    interrupted_registration,
    registration_models,
)


@dataclass(frozen=True)
class LandmarkModelInfo:
    """Description of a landmark model of the study.

    Parameters
    ----------
    name : str
        Of its folder.
    created : datetime or None
        None where its files are not complete.
    stopped_early : bool
        Whether its training was cancelled.
    """

    name: str
    created: datetime | None
    stopped_early: bool

    @classmethod
    def read(cls, folder: Path) -> LandmarkModelInfo:
        """Read the description of a model from its folder."""
        try:
            created = datetime.fromtimestamp((folder / "model.json").stat().st_mtime)
        except OSError:
            created = None
        return cls(folder.name, created, was_stopped(folder))


class ModelList:
    """Models of the open study and trainings that can be resumed.

    The session refreshes it when a study is opened and when long work ends; reading an attribute never
    accesses the disk.

    Attributes
    ----------
    landmark_models : tuple of LandmarkModelInfo
        Complete ones, newest first.
    default : str
        Name of the landmark model that detects unless another one is selected; empty without models.
    interrupted_training : Path or None
        Folder of a landmark training that can be resumed.
    has_report : bool
        Whether a training wrote its report.
    registration_models : tuple of RegistrationModelInfo
        Complete ones, newest first.
    interrupted_registration : Path or None
        Folder of a registration training that can be resumed.
    """

    changed = Signal()
    """Something in the list changed."""

    def __init__(self) -> None:
        self._forget()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the landmark models, newest first."""
        return tuple(model.name for model in self.landmark_models)

    def refresh(self, study: Study | None) -> None:
        """Read the list from the folder of a study; without a study the list is empty."""
        before = self._state()
        self._forget()
        if study is not None:
            self.landmark_models = tuple(map(LandmarkModelInfo.read, reversed(model_folders(study))))
            default = default_folder(study)
            self.default = "" if default is None else default.name
            self.interrupted_training = interrupted_training(study)
            self.has_report = (study.report_dir / "report.html").exists()
            self.registration_models = tuple(registration_models(study))
            self.interrupted_registration = interrupted_registration(study)
        if self._state() != before:
            self.changed.emit()

    def _forget(self) -> None:
        self.landmark_models: tuple[LandmarkModelInfo, ...] = ()
        self.default = ""
        self.interrupted_training: Path | None = None
        self.has_report = False
        self.registration_models: tuple[RegistrationModelInfo, ...] = ()
        self.interrupted_registration: Path | None = None

    def _state(self) -> tuple[object, ...]:
        return (
            self.landmark_models,
            self.default,
            self.interrupted_training,
            self.has_report,
            self.registration_models,
            self.interrupted_registration,
        )


def interrupted_training(study: Study) -> Path | None:
    """Folder of the newest landmark training that can be resumed; None where there is none."""
    runs = sorted(path.parent for path in study.models_dir.glob("*/run.json"))
    unfinished = [run for run in runs if any(run.glob("checkpoint-*.safetensors"))]
    return unfinished[-1] if unfinished else None
