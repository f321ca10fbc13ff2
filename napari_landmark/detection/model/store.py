"""Models of a study: list, default, load; folders of new and interrupted trainings. Imported without torch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.data.study.prediction_models import images_to_predict, read_prediction_models
from napari_landmark.data.study.study import Study

if TYPE_CHECKING:
    from napari_landmark.detection.model.predictor import Predictor


def model_folders(study: Study) -> list[Path]:
    """Folders of complete models, oldest first; folders that were renamed come before the numbered ones."""
    return sorted((path.parent for path in study.models_dir.glob("*/model.json")), key=by_number)


def default_folder(study: Study) -> Path | None:
    """Folder of the newest model whose training was not cancelled, else of the newest model, else None."""
    folders = model_folders(study)
    complete = [folder for folder in folders if not was_cancelled(folder)]
    return next(iter((complete or folders)[-1:]), None)


def require_default_folder(study: Study) -> Path:
    """The folder of `default_folder`; InputError with `ErrorCode.NO_MODEL` where there is none."""
    folder = default_folder(study)
    if folder is None:
        raise InputError(f"{study.folder}: has no trained model yet", code=ErrorCode.NO_MODEL)
    return folder


def new_images(study: Study, names: Iterable[str], *, model: str) -> list[str]:
    """Images of a study that a model of it did not predict yet, in their order.

    Parameters
    ----------
    study : Study
    names : iterable of str
        Names of the images.
    model : str
        Name of the model's folder.
    """
    names = list(names)
    return images_to_predict(
        names,
        model,
        models=read_prediction_models(study.folder),
        predicted=study.predicted_images(names),
        is_only=[folder.name for folder in model_folders(study)] == [model],
    )


def was_cancelled(folder: Path) -> bool:
    """Whether the training of a model was cancelled, so that the model has part of its stages only."""
    path = folder / "model.json"
    try:
        return _was_cancelled(path, path.stat().st_mtime_ns)
    except OSError:
        return True


def learned_too_little(folder: Path) -> bool:
    """Whether a stage of a finished training made less than its least steps, so that its expected errors say little."""
    stages = _read_object(folder / "history.json").get("stages")
    return any(
        stage.get("steps", 0) < stage.get("least_steps", 0) and stage.get("cancelled") is not True
        for stage in (stages if isinstance(stages, list) else ())
        if isinstance(stage, dict)
        and all(isinstance(stage.get(key, 0), int) for key in ("steps", "least_steps"))
    )


def load_model(study: Study, *, name: str | None = None, device: str = "auto") -> Predictor:
    """Load a model of the study by the name of its folder, by default that of `default_folder`.

    Raises
    ------
    InputError
        There is no such model, or its files are missing or damaged.
    """
    from napari_landmark.detection.model.serialization import read_model
    from napari_landmark.detection.model.volume_model_files import VOLUME_FORMAT, read_volume_model
    from napari_landmark.learning.device import choose_device

    if name is None:
        folder = require_default_folder(study)
    else:
        named = [folder for folder in model_folders(study) if folder.name == name]
        if not named:
            raise InputError(f"{study.folder}: has no model {name!r}", code=ErrorCode.NO_MODEL)
        folder = named[0]
    of_volumes = _read_object(folder / "model.json").get("format") == VOLUME_FORMAT.name
    return (read_volume_model if of_volumes else read_model)(folder, device=choose_device(device))


def new_folder(study: Study) -> Path:
    """Make the folder of the next model; earlier ones are kept."""
    last = max((by_number(path)[0] for path in study.models_dir.iterdir()), default=0)
    folder = study.models_dir / f"{max(0, last) + 1:03d}"
    folder.mkdir(parents=True)
    return folder


def can_resume(study: Study) -> bool:
    """Whether the study has an interrupted training."""
    return bool(_interrupted(study))


def unfinished_folder(study: Study) -> Path:
    """Folder of the newest interrupted training; InputError where there is none."""
    folders = _interrupted(study)
    if not folders:
        raise InputError(
            f"{study.folder}: has no interrupted training to resume", code=ErrorCode.NOTHING_TO_RESUME
        )
    return folders[-1]


def by_number(folder: Path) -> tuple[int, str]:
    """Sorting key of model folders: those without a number first, then by number."""
    return (int(folder.name) if folder.name.isdecimal() else -1), folder.name


def _interrupted(study: Study) -> list[Path]:
    runs = sorted((path.parent for path in study.models_dir.glob("*/run.json")), key=by_number)
    return [run for run in runs if any(run.glob("checkpoint-*.safetensors"))]


def learned_images(folder: Path) -> frozenset[str]:
    """Names of the annotated images that the training of a model learned from; of older models the templates alone."""
    training = _read_object(folder / "model.json").get("training")
    record = training if isinstance(training, dict) else {}
    names = record.get("annotated", record.get("templates"))
    return (
        frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()
    )


@lru_cache(maxsize=256)  # the viewer asks at every change of a landmark
def _was_cancelled(path: Path, _changed: int) -> bool:
    training = _read_object(path).get("training")
    complete = training.get("complete") if isinstance(training, dict) else None
    if isinstance(complete, bool):
        return not complete
    return _read_object(path.with_name("history.json")).get("cancelled") is True  # written by older versions


def _read_object(path: Path) -> dict[str, Any]:
    """Object of a JSON file, empty where it cannot be read: loading the model says why."""
    try:
        content = json.loads(read_small_text(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
