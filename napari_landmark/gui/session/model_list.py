"""Models and trainings of the open study, read when they change and not whenever they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from napari_landmark.data.study.prediction_models import read_prediction_models
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import (
    default_folder,
    learned_images,
    learned_too_little,
    model_folders,
    was_cancelled,
)
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
    learned_too_little : bool, optional
        Whether its time was over before a stage made its least steps.
    report : Path or None, optional
        Page of the report of its training.
    """

    name: str
    created: datetime | None
    stopped_early: bool
    learned_too_little: bool = False
    report: Path | None = None

    @classmethod
    def read(cls, folder: Path, study: Study) -> LandmarkModelInfo:
        """Read the description of a model of a study from its folder."""
        try:
            created = datetime.fromtimestamp((folder / "model.json").stat().st_mtime)
        except OSError:
            created = None
        return cls(
            folder.name,
            created,
            was_cancelled(folder),
            learned_too_little(folder),
            study.report_page(folder.name),
        )

    @property
    def label(self) -> str:
        """Its name, and what it lacks."""
        lack = "stopped early" if self.stopped_early else "too few steps" if self.learned_too_little else ""
        return f"{self.name} ({lack})" if lack else self.name


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
    registration_models : tuple of RegistrationModelInfo, optional
        Complete ones, newest first.
    interrupted_registration : Path or None, optional
        Folder of a registration training that can be resumed.
    learned_images : frozenset of str, optional
        Images whose annotations the default model has learned.
    prediction_models : mapping of str to str, optional
        Model that predicted each image, see `read_prediction_models`.
    """

    landmark_models: tuple[LandmarkModelInfo, ...] = ()
    default: str = ""
    interrupted_training: Path | None = None
    registration_models: tuple[RegistrationModelInfo, ...] = ()
    interrupted_registration: Path | None = None
    learned_images: frozenset[str] = frozenset()
    prediction_models: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, study: Study) -> ModelList:
        """Read the list from the folder of a study."""
        default = default_folder(study)
        return cls(
            tuple(LandmarkModelInfo.read(folder, study) for folder in reversed(model_folders(study))),
            "" if default is None else default.name,
            interrupted_training(study),
            tuple(registration_models(study)),
            interrupted_registration(study),
            frozenset() if default is None else learned_images(default),
            read_prediction_models(study.folder),
        )

    @property
    def default_model(self) -> LandmarkModelInfo | None:
        """The landmark model that detects unless another one is selected."""
        return next((model for model in self.landmark_models if model.name == self.default), None)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the landmark models, newest first."""
        return tuple(model.name for model in self.landmark_models)


def interrupted_training(study: Study) -> Path | None:
    """Folder of the newest landmark training that can be resumed; None where there is none."""
    runs = sorted(path.parent for path in study.models_dir.glob("*/run.json"))
    unfinished = [run for run in runs if any(run.glob("checkpoint-*.safetensors"))]
    return unfinished[-1] if unfinished else None
