"""Training a landmark model as long work."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.jobs.predictions import JobPredictions, not_found_statement
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

if TYPE_CHECKING:
    from napari_landmark.detection.model.predictor import Predictor
    from napari_landmark.detection.training.options import TrainingOptions
    from napari_landmark.detection.training.train import TrainingReport

_FEWEST_STEPS = 20
_MOST_OFFSETS = 3  # told in one message

# Modules that need torch are imported where they are used: opening a widget does not wait for it.


@dataclass(frozen=True)
class TrainingStart:
    """Device and duration of a training that begins.

    Parameters
    ----------
    device : str
    budget : str
        Duration in words.
    """

    device: str
    budget: str


@dataclass(frozen=True)
class Preview:
    """Prediction of a running training for one image.

    Parameters
    ----------
    image : str
        Name of the image.
    landmarks : LandmarkSet
    """

    image: str
    landmarks: LandmarkSet


def training_options(device: str, *, seed: int, minutes: float | None) -> TrainingOptions:
    """Options of a training, the same as in the terminal.

    Parameters
    ----------
    device : str
    seed : int
    minutes : float or None
        Duration; None for the default of the device.
    """
    from napari_landmark.detection.training.options import default_options
    from napari_landmark.learning.device import choose_device

    return default_options(choose_device(device), seed=seed, minutes=minutes)


def train_job(
    session: Session,
    *,
    device: str = "auto",
    seed: int = 0,
    minutes: float | None = None,
    resume: bool = False,
    update: bool = False,
) -> Job:
    """Train on the open study; succeeds with its `TrainingOutcome`, cancelled or not.

    Parameters
    ----------
    session : Session
        With an open study.
    device : str, optional
    seed : int, optional
    minutes : float, optional
        Duration; by default as suits the device.
    resume : bool, optional
        Whether to resume the training that was interrupted.
    update : bool, optional
        Whether to go on from the newest model with the corrections; anew where none fits.
    """
    study, cohort = session.require_study(), session.require_cohort()
    saved = JobPredictions(session)

    def work(progress: Progress, cancel: CancelToken) -> TrainingOutcome:
        from napari_landmark.detection.training.options import describe_budget
        from napari_landmark.detection.training.report import write_report
        from napari_landmark.detection.training.train import train
        from napari_landmark.detection.training.update import can_update
        from napari_landmark.learning.device import choose_device

        progress(ProgressEvent("Preparing", 0.0))
        options = training_options(device, seed=seed, minutes=minutes)
        if update and can_update(study, cohort):
            options = options.for_update()
        budget = describe_budget(options, cohort.canvas, annotated=len(study.annotations()))
        job.show(TrainingStart(str(choose_device(device)), budget))

        def preview(model: Predictor) -> None:
            # Read once: the user may show another image meanwhile, and either will do.
            image = session.current_image
            if image in cohort.names:
                found = model.detect_in_cohort(cohort, cohort.index(image))
                job.show(Preview(image, found.landmarks))

        report = train(
            study,
            cohort,
            options=options,
            resume=resume,
            progress=progress,
            cancel=cancel,
            preview=preview,
        )
        if not report.cancelled:  # else the report of the model before would be replaced by an empty one
            write_report(study, cohort, report)
        return training_outcome(report, cohort)

    job = Job(JobKind.TRAIN, saved.read_after(work))

    def done(outcome: TrainingOutcome) -> None:
        if outcome.cancelled:
            saved.show_new()
        else:
            saved.show()
        session.message.emit("info" if outcome.usable else "warning", outcome.text)

    def failed(text: str) -> None:
        saved.show_new()
        session.message.emit("error", text)

    def shown(result: object) -> None:
        if isinstance(result, TrainingStart):
            _show_device(session, result)

    # Connected here and not in a widget, which may be closed meanwhile.
    job.shown.connect(shown)
    job.succeeded.connect(done)
    job.failed.connect(failed)
    return job


def _show_device(session: Session, start: TrainingStart) -> None:
    """Show the device of a training; a missing graphics card is told at the first training of a viewer."""
    first = not session.device
    session.device = start.device
    session.view_changed.emit()
    if first and start.device.startswith("cpu"):
        session.message.emit(
            "info", f"No graphics card in use: training runs on the processor, {start.budget}."
        )


@dataclass(frozen=True)
class TrainingOutcome:
    """Result of a training in words, and whether the model can be used.

    Parameters
    ----------
    text : str
    usable : bool
    cancelled : bool, optional
        Whether the training was stopped before its end.
    """

    text: str
    usable: bool
    cancelled: bool = False


def training_outcome(report: TrainingReport, cohort: Cohort) -> TrainingOutcome:
    """Summarize a training: duration, images and median expected error, or what makes its model useless.

    A model is called useless where a stage made hardly any steps, or has one of `find_shortcomings`.

    Parameters
    ----------
    report : TrainingReport
    cohort : Cohort
        Images of the training.
    """
    minutes, model = f"{report.seconds / 60:.1f} minutes", report.model_dir.name
    shortest = min(report.histories, key=lambda history: history.steps, default=None)
    barely = shortest is not None and shortest.steps < _FEWEST_STEPS
    steps = "" if shortest is None else f"{shortest.steps} step{'s' if shortest.steps != 1 else ''}"
    if report.cancelled:
        if barely:
            text = (
                f"Stopped after {minutes} and {steps}: model {model} learned next to nothing. Press Resume."
            )
        else:
            text = f"Stopped after {minutes}. Model {model} has learned so far; Resume completes it."
        return TrainingOutcome(text, not barely, cancelled=True)
    done = f"Trained in {minutes}: model {model}"
    if barely:
        return TrainingOutcome(
            f"{done} is useless: a stage made only {steps}. Train again with more time, under Advanced.",
            False,
        )
    from napari_landmark.detection.training.shortcomings import ShortcomingKind, find_shortcomings

    errors = []
    for name, marks in report.predictions.items():
        spacing = cohort.geometry(cohort.index(name)).mean_spacing or 1.0
        errors += [
            mark.expected_error * spacing for mark in marks.values() if mark.expected_error is not None
        ]
    unit = "mm" if all(cohort.geometry(n).has_spacing for n in range(len(cohort))) else "pixels"
    off = f", about {median(errors):.1f} {unit} off on average" if errors else ""
    for lack in find_shortcomings(report, cohort):
        if lack.kind is ShortcomingKind.FLAT_HEATMAPS:
            off = ""  # expected errors mean nothing without a peak
        remedy = "Train again with more time, under Advanced, or annotate more images."
        return TrainingOutcome(f"{done} is poor{off}: {lack.text}. {remedy}", False)
    found = len(report.predictions) - len(report.not_found)
    lost = f" {not_found_statement(report.not_found)}" if report.not_found else ""
    learned = "".join(f" Learned: {line}." for line in report.offsets[:_MOST_OFFSETS])
    return TrainingOutcome(f"✓ {done}. Landmarks were found in {found} images{off}.{lost}{learned}", True)
