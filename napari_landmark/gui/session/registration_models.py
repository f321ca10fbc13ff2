"""Registration models of a study: their folders and descriptions, read without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.data.study.registration_folders import registration_models_dir
from napari_landmark.data.study.study import Study


@dataclass(frozen=True)
class RegistrationModelInfo:
    """Description of a registration model.

    Parameters
    ----------
    folder : Path
    stopped_early : bool, optional
        Whether its training was cancelled.
    region_weights : mapping of int to float, optional
        Weights of single labels that it was trained with; empty where its description cannot be read.
    """

    folder: Path
    stopped_early: bool = False
    region_weights: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> RegistrationModelInfo:
        """Read a model's description; a damaged one gives the defaults, its fault is told when it is loaded."""
        training = _mapping(_read_json(folder / "model.json").get("training"))
        return cls(folder, training.get("cancelled") is True, _region_weights(training))


def registration_models(study: Study) -> list[RegistrationModelInfo]:
    """Complete registration models of a study, newest first."""
    files = sorted(
        registration_models_dir(study).glob("*/model.json"), key=lambda path: path.parent.name, reverse=True
    )
    return [RegistrationModelInfo.read(path.parent) for path in files]


def interrupted_registration(study: Study) -> Path | None:
    """Folder of the newest registration training that can be resumed; None where there is none."""
    stopped = (path.parent for path in registration_models_dir(study).glob("*/checkpoint.safetensors"))
    return max((folder for folder in stopped if (folder / "run.json").exists()), default=None)


def read_run_record(folder: Path) -> dict[str, Any]:
    """Options of a training that can be resumed; empty where unreadable, which the training reports."""
    return _read_json(folder / "run.json")


def _region_weights(training: Mapping[str, Any]) -> dict[int, float]:
    regions = _mapping(_mapping(_mapping(training.get("options")).get("weights")).get("regions"))
    try:
        return {int(label): float(value) for label, value in regions.items()}
    except (ValueError, TypeError, OverflowError):
        return {}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return _mapping(json.loads(read_small_text(path)))
    except (InputError, OSError, ValueError, RecursionError):
        return {}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
