"""Registering a pair of images, and saving the result, as long work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.layers.pair_inputs import PairInputs
from napari_landmark.gui.layers.pair_result import PairResult
from napari_landmark.gui.layers.registration_views import draw_views
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.registration.pairwise.pair_measures import measure_pair

# Modules that need torch are imported where they are used: opening a widget does not wait for it.

_MEMORY_ADVICE = (
    "Close other programs; if that does not help, crop the images or save them at a lower resolution."
)


def register_job(
    session: Session,
    pair: PairInputs,
    *,
    model: Path | None = None,
    weights: Mapping[int, float] | None = None,
    guide: bool = True,
    device: str = "auto",
) -> Job:
    """Register a pair; succeeds with a `PairResult`, cancelled or not.

    Parameters
    ----------
    session : Session
    pair : PairInputs
    model : Path, optional
        Folder of a registration model; by default the pair alone is optimized.
    weights : mapping of int to float, optional
        Weights of single labels; those not named have the weight of the model's training, else 1.
    guide : bool, optional
        Whether landmarks guide the registration; their distance is measured in any case.
    device : str, optional
    """

    def work(progress: Progress, cancel: CancelToken) -> PairResult:
        progress(ProgressEvent("Preparing", 0.0))
        from napari_landmark.learning.device import choose_device
        from napari_landmark.registration.model import RegistrationModel
        from napari_landmark.registration.options import PAIR_WEIGHTS, PairOptions
        from napari_landmark.registration.pairwise.register import register_pair

        loaded = None if model is None else RegistrationModel.load(model, device=choose_device(device))
        own = PAIR_WEIGHTS[pair.fixed.geometry.ndim] if loaded is None else loaded.weights
        registration = register_pair(
            pair.fixed,
            pair.moving,
            model=loaded,
            fixed_labels=pair.fixed_labels,
            moving_labels=pair.moving_labels,
            fixed_landmarks=pair.fixed_landmarks if guide else None,
            moving_landmarks=pair.moving_landmarks if guide else None,
            options=PairOptions(device=device, weights=own.with_regions(weights or {})),
            progress=progress,
            cancel=cancel,
        )
        progress(ProgressEvent("Warping", 1.0))
        transform = registration.transform
        measures = measure_pair(
            transform,
            pair.fixed,
            pair.moving,
            fixed_labels=pair.fixed_labels,
            moving_labels=pair.moving_labels,
            fixed_landmarks=pair.fixed_landmarks,
            moving_landmarks=pair.moving_landmarks,
        )
        return PairResult(
            pair,
            registration,
            measures,
            draw_views(transform, pair),
            guided=guide and pair.moving_landmarks is not None,
            cancelled=cancel.cancelled,
        )

    job = Job(JobKind.REGISTER, work, memory_advice=_MEMORY_ADVICE)
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job


def save_pair_job(session: Session, result: PairResult, folder: Path) -> Job:
    """Write a registered pair into a folder: the same files as `napari-landmark register pair`.

    Parameters
    ----------
    session : Session
    result : PairResult
    folder : Path
        Made where it does not exist.
    """

    def work(progress: Progress, cancel: CancelToken) -> list[Path]:
        from napari_landmark.registration.pairwise.output import RegisteredPair, write_pair

        progress(ProgressEvent("Writing", 0.0))
        pair = result.pair
        registered = RegisteredPair(
            pair.fixed,
            pair.moving,
            result.registration,
            pair.fixed_labels,
            pair.moving_labels,
            pair.fixed_landmarks,
            pair.moving_landmarks,
            guided=result.guided,
            cancelled=result.cancelled,
        )
        return write_pair(registered, folder)

    job = Job(JobKind.WRITE, work)
    job.succeeded.connect(
        lambda written: session.message.emit("info", f"{len(written)} files written to {folder}")
    )
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job
