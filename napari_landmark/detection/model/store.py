"""The models of a study: finished ones to load, interrupted ones to go on with."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.data.study.provenance import versions
from napari_landmark.data.study.study import Study
from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.model.choice import by_number, default_folder, model_folders
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.serialization import FORMAT_VERSION, read_model
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.learning.device import Device, choose_device

_MUST_AGREE = {
    "data_fingerprint": "the images have changed",
    "landmarks": "the landmarks have changed",
    "canvas": "the working resolution has changed",
    "format_version": "napari-landmark has changed how it trains",
}


def load_model(study: Study, *, name: str | None = None, device: str = "auto") -> LandmarkModel:
    """A model of the study, by default the newest whose training was not stopped."""
    if name is None:
        folder = default_folder(study)
    else:
        folder = next((folder for folder in model_folders(study) if folder.name == name), None)
    if folder is None:
        what = f"no model {name!r}" if name else "no trained model yet"
        raise InputError(f"{study.folder}: has {what}", code=ErrorCode.NO_MODEL)
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
        raise InputError(
            f"{study.folder}: has no interrupted training to resume", code=ErrorCode.NOTHING_TO_RESUME
        )
    return folders[-1]


def new_folder(study: Study) -> Path:
    """A folder for the next model; earlier ones are kept."""
    last = max((by_number(path)[0] for path in study.models_dir.iterdir()), default=0)
    folder = study.models_dir / f"{max(0, last) + 1:03d}"
    folder.mkdir(parents=True)
    return folder


def recorded_options(
    folder: Path, options: TrainingOptions, now: Mapping[str, Any], *, device: Device
) -> tuple[TrainingOptions, bool]:
    """The options an interrupted training ran with, and whether its templates are still what they were.

    Device and minutes may be given anew; on a device of another kind the steps and batches are those of `options`,
    which suit it. `now` is what `resume_state` says. What the networks of that training mean hangs on the images, the
    landmarks and the canvas: others are refused (InputError).
    """
    path = folder / "run.json"
    try:
        record = json.loads(read_small_text(path))
        recorded = record["options"]
        if record.get("device", "").split(" ")[0] != device.torch_device.type:
            suited = asdict(options.for_canvas(tuple(now["canvas"])))
            recorded = {**suited, "seed": recorded["seed"], "minutes": recorded["minutes"]}
        options = TrainingOptions(
            **{**recorded, "device": options.device, "minutes": options.minutes or recorded["minutes"]}
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error})", code=ErrorCode.TRAINING_CHANGED) from error
    if lacking := [key for key in now if key not in record]:
        raise InputError(
            f"{path}: is of an older version, which did not keep the {lacking[0]}",
            code=ErrorCode.TRAINING_CHANGED,
        )
    for key, what in _MUST_AGREE.items():
        if record[key] != now[key]:
            raise InputError(f"{path}: {what} since that training", code=ErrorCode.TRAINING_CHANGED)
    return options, record["templates_digest"] == now["templates_digest"]


def resume_state(study: Study, cohort: Cohort, templates: Sequence[Template]) -> dict[str, Any]:
    """What an interrupted training depends on, as its record keeps it."""
    digest = hashlib.sha256()
    for template in sorted(templates, key=lambda template: cohort.names[template.index]):
        digest.update(f"{cohort.names[template.index]}\0".encode())
        digest.update(np.round(template.positions, 3).astype("<f8").tobytes())
    return {
        "data_fingerprint": cohort.fingerprint(),
        "landmarks": list(study.schema.names),
        "canvas": list(cohort.canvas),
        "templates_digest": digest.hexdigest(),
        "format_version": FORMAT_VERSION,
    }


def training_record(
    cohort: Cohort,
    templates: Sequence[Template],
    options: TrainingOptions,
    device: Device,
    state: Mapping[str, Any],
) -> dict:
    """What a model's sidecar says about its making."""
    return {
        "options": asdict(options),
        "device": str(device),
        "templates": [cohort.names[template.index] for template in templates],
        "images": len(cohort),
        **state,
        "spacing": dict(Counter(cohort.geometry(k).spacing_statement for k in range(len(cohort)))),
        "versions": versions(),
    }
