"""Training of a landmark model as a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from napari_landmark.backend.jobs.job import JobMonitor
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.study.study import Study

if TYPE_CHECKING:
    from napari_landmark.detection.model.predictor import Predictor
    from napari_landmark.detection.training.train import TrainingReport

RESULT_JOURNAL = "predictions.jsonl"
"""File in the folder of a job with the predictions of all images, in all digits."""


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """Training on a study, with its report.

    Parameters
    ----------
    study : Path
        Folder of the study, to which model, predictions and report are written.
    images : Path
        Folder of the images.
    device : str
    seed : int
    minutes, limit_minutes, overtime : float, optional
        See `TrainingOptions`; those that suit the device if not given.
    resume : bool
        Continue the interrupted training of the study.
    update : bool
        Go on from the newest model with the corrections made since; anew where none fits.
    full_hash : bool
        Record a hash over every byte of the images.
    fingerprint : str, optional
        Of the images as the user has them: others are refused.
    working_size : int, optional
        Longest side of the working grid.
    steps : dict of str to int
        Steps of stages instead of those that suit the device, by name of the option such as `self_steps`.
    """

    KIND: ClassVar[str] = "train"

    study: Path
    images: Path
    device: str = "auto"
    seed: int = 0
    minutes: float | None = None
    limit_minutes: float | None = None
    overtime: float | None = None
    resume: bool = False
    update: bool = False
    full_hash: bool = False
    fingerprint: str | None = None
    working_size: int | None = None
    steps: dict[str, int] = field(default_factory=dict)

    def run(self, monitor: JobMonitor) -> dict[str, Any]:
        """Train; the predictions are also written to `RESULT_JOURNAL`."""
        from napari_landmark.detection.model.store import load_model
        from napari_landmark.detection.training.options import default_options, describe_budget
        from napari_landmark.detection.training.report import write_report
        from napari_landmark.detection.training.summary import summarize
        from napari_landmark.detection.training.train import train
        from napari_landmark.detection.training.update import update_obstacle
        from napari_landmark.learning.device import choose_device

        device = choose_device(self.device)
        options = default_options(device, seed=self.seed, minutes=self.minutes)
        if self.limit_minutes is not None:
            options = replace(options, limit_minutes=self.limit_minutes)
        if self.overtime is not None:
            options = replace(options, overtime=self.overtime)
        options = replace(options, **_checked_steps(self.steps))
        study = Study.open(self.study)
        cohort = Cohort.from_folder(
            self.images,
            spacing=study.spacing,
            working_size=self.working_size,
            extra=study.extra,
            progress=monitor.progress,
            cancel=monitor.cancel,
        )
        if self.update:
            obstacle = update_obstacle(study, cohort)
            if obstacle:
                monitor.log(f"training from the beginning, which takes longer: {obstacle}")
            else:
                options = options.for_update()
        budget = describe_budget(options, cohort.canvas, annotated=len(study.annotations()))
        monitor.device(str(device), budget)
        for skipped in cohort.skipped_files:
            monitor.log(f"left out: {skipped.name}: {skipped.reason}")
        if self.fingerprint is not None and cohort.fingerprint(cancel=monitor.cancel) != self.fingerprint:
            raise InputError(
                f"{self.images}: holds other images than the folder that it stands for; correct how paths are mapped"
            )

        def preview(model: Predictor) -> None:
            image = monitor.watched()
            if image in cohort:
                monitor.preview(image, model.detect_in_cohort(cohort, cohort.index(image)).landmarks)

        report = train(
            study,
            cohort,
            options=options,
            resume=self.resume,
            progress=monitor.progress,
            cancel=monitor.cancel,
            preview=preview,
            full_hash=self.full_hash,
        )
        if not report.cancelled:
            write_report(study, cohort, report)
        model = load_model(study, name=report.model_dir.name, device=self.device)
        digest = model.digest()
        _write_journal(monitor.folder / RESULT_JOURNAL, model, digest, cohort, report)
        return {
            "model": report.model_dir.name,
            "digest": digest,
            "device": str(device),
            "cancelled": report.cancelled,
            "seconds": round(report.seconds, 1),
            "left_aside": dict(report.left_aside),
            "mirrored": report.mirrored,
            "not_found": report.not_found,
            "summary": summarize(report, cohort).to_json(),
        }


def _checked_steps(steps: Mapping[str, int]) -> dict[str, Any]:
    from napari_landmark.detection.training.options import TrainingOptions

    known = tuple(name for name in TrainingOptions.__dataclass_fields__ if name.endswith("_steps"))
    for name, count in steps.items():
        if name not in known or count < 1:
            raise InputError(f"steps {name} {count}: give a number from 1 on for {', '.join(known)}")
    return dict(steps)


def _write_journal(path: Path, model: Predictor, digest: str, cohort: Cohort, report: TrainingReport) -> None:
    from napari_landmark.detection.inference.journal import DetectionJournal

    path.unlink(missing_ok=True)
    journal = DetectionJournal(path, {"model": digest}, model.schema)
    try:
        for name, marks in report.predictions.items():
            number = cohort.index(name)
            pose = report.poses.get(name)
            journal.add(name, cohort.paths[number], marks, cohort.geometry(number), pose)
    finally:
        journal.close()
