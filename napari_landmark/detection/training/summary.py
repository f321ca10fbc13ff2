"""Summary of a training as plain values, which outlive the process that trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from napari_landmark.data.errors import InputError

if TYPE_CHECKING:
    from napari_landmark.data.cohort.cohort import Cohort
    from napari_landmark.detection.training.train import TrainingReport

FLAT_HEATMAPS = "flat heatmaps"
"""Kind of the shortcoming with which expected errors mean nothing; see `shortcomings.ShortcomingKind`."""

FEWEST_STEPS = 20
"""Steps of a stage below which it has learned next to nothing."""


@dataclass(frozen=True, kw_only=True)
class TrainingSummary:
    """Result of a training in numbers and names.

    Parameters
    ----------
    model : str
        Name of the model's folder.
    seconds : float
    cancelled : bool
    images : int
        Number of images in which landmarks were found.
    shortest_steps : int or None
        Steps of the stage that made the fewest, zero where it was stopped before any; None for volumes without stages.
    median_error : float or None
        Median expected error in `unit`; None without any.
    unit : str
        'mm' or 'pixels'.
    shortcomings : tuple of (str, str)
        Kind and text of each shortcoming, most telling first; see `find_shortcomings`.
    not_found : mapping of str to str
        Images in which nothing was found, by name, with the reason.
    offsets : tuple of str
        Where corrections lie elsewhere than the template's landmark would, a line each.
    """

    model: str
    seconds: float
    cancelled: bool
    images: int = 0
    shortest_steps: int | None = None
    median_error: float | None = None
    unit: str = "pixels"
    shortcomings: tuple[tuple[str, str], ...] = ()
    not_found: Mapping[str, str] = field(default_factory=dict)
    offsets: tuple[str, ...] = ()

    @property
    def learned_next_to_nothing(self) -> bool:
        """Whether a stage made hardly any steps, so that nothing of the model can be used; volumes have no stages."""
        return self.shortest_steps is not None and self.shortest_steps < FEWEST_STEPS

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: object) -> TrainingSummary:
        """The summary of plain values; InputError for anything that `to_json` does not write."""
        try:
            if not isinstance(values, dict):
                raise TypeError("no object")
            steps, error = values["shortest_steps"], values["median_error"]
            return cls(
                model=str(values["model"]),
                seconds=float(values["seconds"]),
                cancelled=values["cancelled"] is True,
                images=int(values["images"]),
                shortest_steps=None if steps is None else int(steps),
                median_error=None if error is None else float(error),
                unit=str(values["unit"]),
                shortcomings=tuple((str(kind), str(text)) for kind, text in values["shortcomings"]),
                not_found={str(name): str(reason) for name, reason in dict(values["not_found"]).items()},
                offsets=tuple(str(line) for line in values["offsets"]),
            )
        except (LookupError, TypeError, ValueError) as error:
            raise InputError(f"the summary of the training is damaged ({error})") from error


def summarize(report: TrainingReport, cohort: Cohort) -> TrainingSummary:
    """Summarize a training.

    Parameters
    ----------
    report : TrainingReport
    cohort : Cohort
        Images of the training.
    """
    from napari_landmark.detection.training.shortcomings import find_shortcomings

    errors = []
    for name, marks in report.predictions.items():
        spacing = cohort.geometry(cohort.index(name)).mean_spacing or 1.0
        errors += [
            mark.expected_error * spacing for mark in marks.values() if mark.expected_error is not None
        ]
    scaled = all(cohort.geometry(number).has_spacing for number in range(len(cohort)))
    return TrainingSummary(
        model=report.model_dir.name,
        seconds=report.seconds,
        cancelled=report.cancelled,
        images=len(report.predictions) - len(report.not_found),
        shortest_steps=min(
            (history.steps for history in report.histories),
            default=0 if report.cancelled and cohort.ndim == 2 else None,
        ),
        median_error=median(errors) if errors else None,
        unit="mm" if scaled else "pixels",
        shortcomings=tuple((str(lack.kind), lack.text) for lack in find_shortcomings(report, cohort)),
        not_found=dict(report.not_found),
        offsets=tuple(report.offsets),
    )
