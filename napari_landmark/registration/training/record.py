"""What a training of a registration ran with: kept beside the model, and read again to go on."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.options import RegistrationOptions
from napari_landmark.registration.training.dataset import RegistrationDataset

RUN = "run.json"
_MUST_AGREE = {
    "labels": "the labels have changed",
    "labelled": "other images have label maps",
    "landmarks": "other landmarks guide it",
    "canvas": "the working resolution has changed",
    "data_fingerprint": "the images have changed",
}


def training_record(
    cohort: Cohort, material: RegistrationDataset, options: RegistrationOptions, device: str
) -> dict:
    """Everything the model hangs on, as plain values."""
    from napari_landmark import __version__

    return {
        "options": options.to_json(),
        "device": device,
        "images": len(cohort),
        "labels": list(material.labels),
        "canvas": list(cohort.canvas),
        "labelled": [cohort.names[n] for n in material.labelled],
        "landmarks": int(material.positions.shape[1]),
        "data_fingerprint": cohort.fingerprint(),
        "versions": {"napari-landmark": __version__, "torch": torch.__version__, "numpy": np.__version__},
    }


@dataclass(frozen=True)
class InterruptedRun:
    """The record of a training that was interrupted.

    Parameters
    ----------
    path : Path
        Its file.
    record : dict
    options : RegistrationOptions
        Those it ran with.
    spent : float
        Seconds that it took, as far as its model says.
    """

    path: Path
    record: dict
    options: RegistrationOptions
    spent: float = 0.0

    @classmethod
    def read(cls, folder: Path) -> InterruptedRun:
        """From the folder of the training.

        Raises
        ------
        InputError
            The file cannot be read.
        """
        path = folder / RUN
        try:
            record = json.loads(read_small_text(path))
            lacking = [key for key in _MUST_AGREE if key not in record]
            if lacking:
                raise ValueError(f"it has no {lacking[0]}")
            given = dict(record["options"])
            options = RegistrationOptions(**{**given, "weights": LossWeights.from_json(given.get("weights"))})
        except (InputError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{path}: cannot be read ({error})", code=ErrorCode.TRAINING_CHANGED) from error
        return cls(path, record, options, _spent(folder / "model.json"))

    def options_with(self, now: RegistrationOptions) -> RegistrationOptions:
        """The options to go on with: device and minutes, with those that were spent, may be given anew.

        Raises
        ------
        InputError
            The minutes are over already.
        """
        recorded = self.options
        if now.minutes and now.minutes * 60 <= self.spent:
            raise InputError(
                f"{now.minutes:g} minutes: the training took {self.spent / 60:.1f} already, which count; give more"
            )
        return replace(recorded, device=now.device, minutes=now.minutes or recorded.minutes)

    def check(self, now: dict) -> None:
        """Refuse (InputError) to go on with other images or labels: the networks would mean something else."""
        for key, what in _MUST_AGREE.items():
            if self.record[key] != now[key]:
                raise InputError(f"{self.path}: {what} since that training", code=ErrorCode.TRAINING_CHANGED)


def _spent(path: Path) -> float:
    """Seconds of a stopped training; 0 where it was killed before it wrote a model."""
    try:
        return float(json.loads(read_small_text(path))["training"]["history"]["seconds"])
    except (InputError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0.0
