"""Training and detecting as long work: the same functions as the terminal, with a person looking on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import default_folder, model_folders
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.session.session import Session
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

if TYPE_CHECKING:
    from napari_landmark.detection.model.landmark_model import LandmarkModel
    from napari_landmark.detection.training.options import TrainingOptions
    from napari_landmark.detection.training.train import TrainingReport

# Modules that need torch are imported where they are used: opening a widget does not wait for it.


@dataclass(frozen=True)
class Started:
    """Where a training runs and for how long.

    Parameters
    ----------
    device : str
    budget : str
        In words.
    """

    device: str
    budget: str


@dataclass(frozen=True)
class Preview:
    """What a running training would say about one image.

    Parameters
    ----------
    image : str
    landmarks : LandmarkSet
    """

    image: str
    landmarks: LandmarkSet


@dataclass(frozen=True)
class Maps:
    """Heatmaps of one image; see `LandmarkModel.detect`."""

    image: str
    names: tuple[str, ...]
    heatmaps: np.ndarray
    matrix: np.ndarray
    offset: np.ndarray


def training_options(device: str, *, seed: int, minutes: float | None) -> TrainingOptions:
    """The options that the terminal would take."""
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
) -> Job:
    """Long work that trains on the open study; succeeds with the `TrainingReport`, cancelled or not."""
    study, cohort = session.study, session.cohort
    assert study is not None and cohort is not None

    def work(progress: Progress, cancel: CancelToken) -> TrainingReport:
        from napari_landmark.detection.training.report import write_report
        from napari_landmark.detection.training.train import train
        from napari_landmark.learning.device import choose_device

        progress(ProgressEvent("Preparing", 0.0))
        options = training_options(device, seed=seed, minutes=minutes)
        job.show(Started(str(choose_device(device)), options.for_canvas(cohort.canvas).describe()))

        def preview(model: LandmarkModel) -> None:
            # The name is read in this thread while the person may go on to another image: either will do.
            image = session.image
            if image in cohort.names:
                number = cohort.index(image)
                found = model.detect_in_cohort(cohort, number)
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
        write_report(study, cohort, report)
        return report

    job = Job("Training", work)

    def done(report: TrainingReport) -> None:
        if report.cancelled:
            _take_new(session, study)
        else:
            _take(session, study)
        session.message.emit("info", training_outcome(report))

    def failed(text: str) -> None:
        _take_new(session, study)
        session.message.emit("error", text)

    def shown(something: object) -> None:
        if isinstance(something, Started):
            _tell_device(session, something)

    # Here and not in a widget: those come and go while it runs.
    job.shown.connect(shown)
    job.succeeded.connect(done)
    job.failed.connect(failed)
    return job


_told_no_gpu = False


def _tell_device(session: Session, started: Started) -> None:
    """Show where the training runs; that there is no graphics card is told once."""
    global _told_no_gpu
    session.device = started.device
    session.view_changed.emit()
    if started.device.startswith("cpu") and not _told_no_gpu:
        _told_no_gpu = True
        session.message.emit(
            "info", f"No graphics card in use: training runs on the processor, {started.budget}."
        )


def training_outcome(report: TrainingReport) -> str:
    """What came of a training, in words."""
    minutes = f"{report.seconds / 60:.1f} minutes"
    model = report.model_dir.name
    if report.cancelled:
        return f"Stopped after {minutes}. Model {model} works from what was learned so far."
    count = len(report.predictions)
    return f"✓ Trained in {minutes}: model {model}. Landmarks were found in {count} images."


def detect_job(session: Session, *, model: str | None, device: str = "auto", image: str | None = None) -> Job:
    """Long work that finds the landmarks of one image, or of all; succeeds with them by name of the image.

    The predictions are in the study's files when it ends; annotations stay as they are.
    """
    study, cohort = session.study, session.cohort
    assert study is not None and cohort is not None

    def work(progress: Progress, cancel: CancelToken) -> dict[str, LandmarkSet]:
        from napari_landmark.detection.training.train import predict_cohort

        progress(ProgressEvent("Loading the model", 0.0))
        loaded = _loaded(study, model, device)
        if image is None:
            return predict_cohort(loaded, cohort, study=study, progress=progress, cancel=cancel)
        number = cohort.index(image)
        found = loaded.detect_in_cohort(cohort, number).landmarks
        study.save_predictions(image, found, cohort.geometry(number))
        return {image: found}

    job = Job("Detecting", work)

    def done(found: dict[str, LandmarkSet]) -> None:
        _take(session, study, found)
        count = "1 image" if len(found) == 1 else f"{len(found)} images"
        stopped = "Stopped. " if job.cancelled else ""
        session.message.emit(
            "info", f"{stopped}Landmarks found in {count}. What you placed or corrected stayed as it is."
        )

    def failed(text: str) -> None:
        _take_new(session, study)
        session.message.emit("error", text)

    job.succeeded.connect(done)
    job.failed.connect(failed)
    return job


def _take(session: Session, study: Study, found: dict[str, LandmarkSet] | None = None) -> None:
    """Show the predictions that a job wrote, unless another study was opened meanwhile."""
    if session.study is not None and session.study.folder == study.folder and found != {}:
        session.set_placing(False)
        session.attempt(lambda: session.take_predictions(found))


def _take_new(session: Session, study: Study) -> None:
    """The same after a job that was stopped or failed, which may have written some or none."""

    def take() -> None:
        if session.take_new_predictions():
            session.set_placing(False)

    if session.study is not None and session.study.folder == study.folder:
        session.attempt(take)


def heatmap_job(session: Session, *, model: str | None, device: str = "auto") -> Job:
    """Work that computes the heatmaps of the image at hand; succeeds with `Maps`."""
    study, cohort, image = session.study, session.cohort, session.image
    assert study is not None and cohort is not None

    def work(progress: Progress, cancel: CancelToken) -> Maps:
        progress(ProgressEvent("Computing heatmaps", 0.0))
        loaded = _loaded(study, model, device)
        number = cohort.index(image)
        found = loaded.detect_in_cohort(cohort, number, heatmaps=True)
        names = study.current_names(loaded.schema.names)
        return Maps(image, names, found.heatmaps, found.heatmap_matrix, found.heatmap_offset)

    job = Job("Computing heatmaps", work)
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job


_last: tuple[tuple[object, ...], LandmarkModel] | None = None


def _loaded(study: Study, name: str | None, device: str) -> LandmarkModel:
    """A model of the study; the last one is kept, since heatmaps ask for it again at every image."""
    global _last
    from napari_landmark.detection.model.store import load_model

    folder = default_folder(study) if name is None else study.models_dir / name
    sidecar = None if folder is None else folder / "model.json"
    key = (folder, sidecar.stat().st_mtime_ns if sidecar and sidecar.exists() else None, device)
    if _last is None or _last[0] != key:
        _last = None  # two models at a time could be too much for a graphics card
        _last = (key, load_model(study, name=name, device=device))
    return _last[1]


def model_names(session: Session) -> list[str]:
    """Names of the study's complete models, newest first."""
    if session.study is None:
        return []
    return [folder.name for folder in reversed(model_folders(session.study))]


def interrupted_training(session: Session) -> Path | None:
    """The folder of a training that was stopped and can go on, None where there is none."""
    if session.study is None:
        return None
    runs = sorted(path.parent for path in session.study.models_dir.glob("*/run.json"))
    unfinished = [run for run in runs if any(run.glob("checkpoint-*.safetensors"))]
    return unfinished[-1] if unfinished else None
