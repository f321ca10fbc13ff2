"""Record of a training beside its model: written when it starts, checked when it is resumed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.fingerprint import is_full_fingerprint
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.data.study.provenance import versions
from napari_landmark.progress import CancelToken, Progress

RUN = "run.json"

Parsed = TypeVar("Parsed")


def compare_images(
    cohort: Cohort, *, full: bool, progress: Progress | None, cancel: CancelToken | None
) -> str:
    """Fingerprint of the images of a training, see `Cohort.fingerprint`.

    A token that is set before is left to the training, which stops before its first step and can be resumed.

    Raises
    ------
    Cancelled
        `cancel` was set meanwhile.
    """
    watched = None if cancel is not None and cancel.cancelled else cancel
    return cohort.fingerprint(full=full, progress=progress, cancel=watched)


def describe_training(
    cohort: Cohort, options: Mapping[str, Any], device: str, *, data_fingerprint: str, **more: object
) -> dict[str, Any]:
    """Plain values that every training keeps: options, device, images, software; `more` is added."""
    return {
        "options": dict(options),
        "device": device,
        "images": len(cohort),
        "canvas": list(cohort.canvas),
        "data_fingerprint": data_fingerprint,
        **more,
        "spacing": dict(Counter(cohort.geometry(k).spacing_statement for k in range(len(cohort)))),
        "versions": versions(),
    }


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write a record of plain values into the folder of a training."""
    atomic_write(folder / RUN, json.dumps(record, indent=1) + "\n")


@dataclass(frozen=True)
class TrainingRecord:
    """Record of an interrupted training.

    Parameters
    ----------
    path : Path
    content : dict
        As it was written.
    """

    path: Path
    content: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> TrainingRecord:
        """Read the record in the folder of a training.

        Raises
        ------
        InputError
            It is missing or damaged.
        """
        path = folder / RUN
        try:
            content = json.loads(read_small_text(path))
            if not isinstance(content, dict):
                raise TypeError("it is no object")
        except (InputError, OSError, ValueError, TypeError, RecursionError) as error:
            raise _unreadable(path, error) from error
        return cls(path, content)

    @property
    def has_full_fingerprint(self) -> bool:
        """Whether its fingerprint of the images is one over every byte: only another such one can be compared."""
        return is_full_fingerprint(self.content.get("data_fingerprint"))

    def parse(self, parser: Callable[[dict[str, Any]], Parsed]) -> Parsed:
        """Result of `parser` for the content; InputError where values are missing or wrong."""
        try:
            return parser(self.content)
        except (InputError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _unreadable(self.path, error) from error

    def check(self, current: Mapping[str, Any], must_agree: Mapping[str, str]) -> None:
        """Refuse to resume with other data: the trained networks would not fit them.

        Parameters
        ----------
        current : mapping
            Values of the data to resume with.
        must_agree : mapping of str to str
            Keys of both that must be equal, and the reason in words if they are not.

        Raises
        ------
        InputError
            A value differs, or the record lacks one, as those of older versions do.
        """
        if lacking := [key for key in current if key not in self.content]:
            raise InputError(
                f"{self.path}: is of an older version, which did not keep the {lacking[0]}",
                code=ErrorCode.TRAINING_CHANGED,
            )
        for key, reason in must_agree.items():
            if self.content[key] != current[key]:
                raise InputError(
                    f"{self.path}: {reason} since that training", code=ErrorCode.TRAINING_CHANGED
                )


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: cannot be read ({error})", code=ErrorCode.TRAINING_CHANGED)
