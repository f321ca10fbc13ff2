"""Models and trainings of the open study, read when they change and not whenever they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import default_folder, model_folders, was_cancelled
from napari_landmark.gui.session.registration_models import (
    RegistrationModelInfo,
    interrupted_registration,
    registration_models,
)
from napari_landmark.learning.training_record import TrainingRecord


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
        return cls(folder.name, created, was_cancelled(folder))


@dataclass(frozen=True)
class ModelList:
    """Models of a study and trainings that can be resumed.

    Parameters
    ----------
    landmark_models : tuple of LandmarkModelInfo, optional
        Complete ones, newest first.
    default : str, optional
        Name of the landmark model that detects unless another one is selected; empty without models.
    interrupted_training : Path or None, optional
        Folder of a landmark training that can be resumed.
    has_report : bool, optional
        Whether a training wrote its report.
    registration_models : tuple of RegistrationModelInfo, optional
        Complete ones, newest first.
    interrupted_registration : Path or None, optional
        Folder of a registration training that can be resumed.
    taught : frozenset of str, optional
        Images whose annotations the newest landmark model has learned, and which therefore test it no more.
    """

    landmark_models: tuple[LandmarkModelInfo, ...] = ()
    default: str = ""
    interrupted_training: Path | None = None
    has_report: bool = False
    registration_models: tuple[RegistrationModelInfo, ...] = ()
    interrupted_registration: Path | None = None
    taught: frozenset[str] = frozenset()

    @classmethod
    def read(cls, study: Study) -> ModelList:
        """Read the list from the folder of a study."""
        default = default_folder(study)
        return cls(
            tuple(map(LandmarkModelInfo.read, reversed(model_folders(study)))),
            "" if default is None else default.name,
            interrupted_training(study),
            (study.report_dir / "report.html").exists(),
            tuple(registration_models(study)),
            interrupted_registration(study),
            frozenset() if default is None else _taught_images(default),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the landmark models, newest first."""
        return tuple(model.name for model in self.landmark_models)


def interrupted_training(study: Study) -> Path | None:
    """Folder of the newest landmark training that can be resumed; None where there is none."""
    runs = sorted(path.parent for path in study.models_dir.glob("*/run.json"))
    unfinished = [run for run in runs if any(run.glob("checkpoint-*.safetensors"))]
    return unfinished[-1] if unfinished else None


def _taught_images(folder: Path) -> frozenset[str]:
    """Images that a model was trained with, by its record; records of earlier versions name the templates alone."""
    try:
        content = TrainingRecord.read(folder).content
        return frozenset(map(str, content.get("annotated", content.get("templates", ()))))
    except (InputError, TypeError):
        return frozenset()
