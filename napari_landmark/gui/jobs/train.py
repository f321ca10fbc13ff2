"""Training a landmark model as long work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_landmark.backend.host_jobs import TrainOnHostJob, preview_landmarks
from napari_landmark.backend.job_record import JobRecord
from napari_landmark.backend.jobs.train import TrainJob
from napari_landmark.backend.progress_file import DeviceChosen, PreviewLandmarks
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.detection.training.summary import FLAT_HEATMAPS, TrainingSummary
from napari_landmark.gui.jobs.predictions import JobPredictions, not_found_statement
from napari_landmark.gui.jobs.process_job import ProcessJob
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session

_MOST_OFFSETS = 3  # told in one message


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


def train_job(
    session: Session,
    *,
    device: str = "auto",
    seed: int = 0,
    minutes: float | None = None,
    resume: bool = False,
    update: bool = False,
    host: str = "",
    record: JobRecord | None = None,
) -> ProcessJob:
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
        Whether to go on from the newest model with the corrections; anew where none fits, and on a host.
    host : str, optional
        Name of the host that trains; this computer by default.
    record : JobRecord, optional
        Training that an earlier viewer started, to be followed instead of a new one.
    """
    study, cohort = session.require_study(), session.require_cohort()
    saved, folder = JobPredictions(session), study.folder.absolute()

    def make(_: Path) -> TrainJob | TrainOnHostJob:
        if host:
            return TrainOnHostJob(
                study=folder,
                host=host,
                device=device,
                seed=seed,
                minutes=minutes,
                working_size=cohort.working_size,
            )
        return TrainJob(
            study=folder,
            images=study.require_images().absolute(),
            device=device,
            seed=seed,
            minutes=minutes,
            resume=resume,
            update=update,
            working_size=cohort.working_size,
        )

    def finish(result: dict[str, Any]) -> TrainingOutcome:
        if "summary" not in result:
            return TrainingOutcome("Stopped before anything was learned.", False, cancelled=True)
        return training_outcome(TrainingSummary.from_json(result["summary"]))

    job = ProcessJob(
        JobKind.TRAIN,
        make,
        finish=finish,
        about={"study": str(folder)},
        record=record,
        host=host,
        watched=lambda: session.current_image if session.study is study else "",
        after=saved.read,
    )

    def done(outcome: TrainingOutcome) -> None:
        if outcome.cancelled:
            saved.show_new()
        else:
            saved.show()
        session.message.emit("info" if outcome.usable else "warning", outcome.text)

    def failed(text: str) -> None:
        saved.show_new()
        session.message.emit("error", text)

    def shown(content: object) -> None:
        if isinstance(content, DeviceChosen):
            _show_device(session, content, host)

    # Connected here and not in a widget, which may be closed meanwhile.
    job.shown.connect(shown)
    job.told.connect(lambda text: session.message.emit("info", text))
    job.succeeded.connect(done)
    job.failed.connect(failed)
    return job


def preview_of(shown: object, session: Session) -> Preview | None:
    """The prediction that a running training has shown; None for anything else."""
    if isinstance(shown, Preview) or session.schema is None:
        return shown if isinstance(shown, Preview) else None
    if not isinstance(shown, PreviewLandmarks):
        return None
    return Preview(shown.image, preview_landmarks(shown, session.schema))


def _show_device(session: Session, chosen: DeviceChosen, host: str) -> None:
    """Show the device of a training; a missing graphics card is told at the first training of a viewer."""
    first = not session.device
    session.device = f"{chosen.device} on {host}" if host else chosen.device
    session.view_changed.emit()
    if first and not host and chosen.device.startswith("cpu"):
        session.message.emit(
            "info", f"No graphics card in use: training runs on the processor, {chosen.budget}."
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


def training_outcome(summary: TrainingSummary) -> TrainingOutcome:
    """Put a training into words: duration, images and median expected error, or what makes its model useless.

    A model is called useless where a stage made hardly any steps, or has one of `find_shortcomings`.
    """
    minutes, model = f"{summary.seconds / 60:.1f} minutes", summary.model
    shortest = summary.shortest_steps
    barely = summary.learned_next_to_nothing
    steps = "" if shortest is None else f"{shortest} step{'s' if shortest != 1 else ''}"
    if summary.cancelled:
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
    error = summary.median_error
    off = "" if error is None else f", about {error:.1f} {summary.unit} off on average"
    if summary.shortcomings:
        if any(kind == FLAT_HEATMAPS for kind, _ in summary.shortcomings):
            off = ""  # expected errors mean nothing without a peak
        _, lack = summary.shortcomings[0]
        remedy = "Train again with more time, under Advanced, or annotate more images."
        return TrainingOutcome(f"{done} is poor{off}: {lack}. {remedy}", False)
    lost = f" {not_found_statement(summary.not_found)}" if summary.not_found else ""
    learned = "".join(f" Learned: {line}." for line in summary.offsets[:_MOST_OFFSETS])
    return TrainingOutcome(
        f"✓ {done}. Landmarks were found in {summary.images} images{off}.{lost}{learned}", True
    )
