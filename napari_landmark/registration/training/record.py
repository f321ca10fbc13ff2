"""Record of a registration training: written with the model, and read again to resume."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.learning.training_record import TrainingRecord, describe_training
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.options import RegistrationOptions
from napari_landmark.registration.training.dataset import RegistrationDataset

_MUST_AGREE = {
    "labels": "the labels have changed",
    "labelled": "other images have label maps",
    "landmarks": "other landmarks guide it",
    "canvas": "the working resolution has changed",
    "data_fingerprint": "the images have changed",
}


def training_record(
    cohort: Cohort,
    dataset: RegistrationDataset,
    options: RegistrationOptions,
    device: str,
    *,
    data_fingerprint: str,
) -> dict[str, Any]:
    """Build the record: everything that determines the model, as plain values."""
    return describe_training(
        cohort,
        options.to_json(),
        device,
        data_fingerprint=data_fingerprint,
        labels=list(dataset.labels),
        labelled=[cohort.names[n] for n in dataset.labelled],
        landmarks=int(dataset.positions.shape[1]),
    )


@dataclass(frozen=True)
class InterruptedRun:
    """Record of an interrupted training.

    Parameters
    ----------
    record : TrainingRecord
    options : RegistrationOptions
        Options of the training.
    spent : float
        Seconds of training, from the description of its model.
    """

    record: TrainingRecord
    options: RegistrationOptions
    spent: float = 0.0

    @classmethod
    def read(cls, folder: Path) -> InterruptedRun:
        """Read the record from the folder of a training.

        Raises
        ------
        InputError
            The file cannot be read.
        """
        record = TrainingRecord.read(folder)
        return cls(record, record.parse(_options), _spent(folder / "model.json"))

    def options_with(self, now: RegistrationOptions) -> RegistrationOptions:
        """Options to resume with: those of the record, with the device and the minutes, if any, of `now`.

        Minutes spent before the interruption count.

        Raises
        ------
        InputError
            The minutes are spent already.
        """
        recorded = self.options
        if now.minutes and now.minutes * 60 <= self.spent:
            raise InputError(
                f"{now.minutes:g} minutes: the training took {self.spent / 60:.1f} already, which count; give more"
            )
        return replace(recorded, device=now.device, minutes=now.minutes or recorded.minutes)

    def check(self, now: dict[str, Any]) -> None:
        """Raise `InputError` if the record `now` has other images, labels or landmarks: the networks would not fit."""
        self.record.check({key: now[key] for key in _MUST_AGREE}, _MUST_AGREE)


def _options(content: dict[str, Any]) -> RegistrationOptions:
    given = dict(content["options"])
    return RegistrationOptions(**{**given, "weights": LossWeights.from_json(given.get("weights"))})


def _spent(path: Path) -> float:
    """Seconds of a stopped training; 0 if it was killed before it wrote a model."""
    try:
        return float(json.loads(read_small_text(path))["training"]["history"]["seconds"])
    except (InputError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0.0
