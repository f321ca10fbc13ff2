"""The models of a study: finished ones to load, interrupted ones to go on with."""

from __future__ import annotations

from pathlib import Path

from napari_landmark.data.errors import InputError
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.choice import by_number, default_folder, model_folders
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.serialization import read_model
from napari_landmark.learning.device import choose_device


def load_model(study: Study, *, name: str | None = None, device: str = "auto") -> LandmarkModel:
    """A model of the study, by default the newest whose training was not stopped."""
    if name is None:
        folder = default_folder(study)
    else:
        folder = next((folder for folder in model_folders(study) if folder.name == name), None)
    if folder is None:
        what = f"no model {name!r}" if name else "no trained model yet"
        raise InputError(f"{study.folder}: has {what}; run `napari-landmark train` first")
    return read_model(folder, device=choose_device(device))


def can_resume(study: Study) -> bool:
    """Whether there is an interrupted training to go on with."""
    return bool(_interrupted(study))


def _interrupted(study: Study) -> list[Path]:
    runs = sorted((path.parent for path in study.models_dir.glob("*/run.json")), key=by_number)
    return [run for run in runs if any(run.glob("checkpoint-*.safetensors"))]


def unfinished_folder(study: Study) -> Path:
    """Folder of the newest interrupted training; InputError where there is none."""
    folders = _interrupted(study)
    if not folders:
        raise InputError(f"{study.folder}: has no interrupted training to resume; leave out --resume")
    return folders[-1]


def new_folder(study: Study) -> Path:
    """A folder for the next model; earlier ones are kept."""
    last = max((by_number(path)[0] for path in study.models_dir.iterdir()), default=0)
    folder = study.models_dir / f"{max(0, last) + 1:03d}"
    folder.mkdir(parents=True)
    return folder
