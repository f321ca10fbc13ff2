"""Accepting all predictions of a study whose expected error is small, as long work that is undone as one change."""

from __future__ import annotations

import numpy as np

from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.session.review_queue import ReviewQueue
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.session.undo import Change
from napari_landmark.progress import CancelToken, Progress, ProgressEvent


def below_limit(session: Session, queue: ReviewQueue, limit: float) -> dict[str, list[str]]:
    """Landmarks by image whose prediction is undecided and has an expected error of at most a limit.

    Images that are flagged or left out have none: an expected error of another anatomy says little.

    Parameters
    ----------
    limit : float
        In the unit of `ReviewQueue.errors`.
    """
    store, names = session.require_store(), session.require_study().schema.names
    errors = queue.errors()
    found: dict[str, list[str]] = {}
    for row in np.flatnonzero((errors <= limit).any(axis=1)).tolist():
        image = session.names[row]
        if store.is_flagged(image) or store.decision(image) is ImageDecision.LEFT_OUT:
            continue
        found[image] = [names[column] for column in np.flatnonzero(errors[row] <= limit).tolist()]
    return found


def accept_job(session: Session, chosen: dict[str, list[str]]) -> Job:
    """Accept predictions as annotation.

    What was written when it is cancelled or fails stays, and is undone as one change as well.

    Parameters
    ----------
    chosen : dict of str to list of str
        Names of landmarks by image.

    Raises
    ------
    InputError
        Another program annotates the study.
    """
    study, store = session.require_study(), session.require_store()
    store.check_right()
    changes: list[Change] = []
    plans = [
        (image, before, accepted(before, session.prediction(image), names, session.geometry(image).shape))
        for image, names in chosen.items()
        for before in (session.annotation(image),)
    ]
    plans = [(image, before, after) for image, before, after in plans if after != before]

    def work(progress: Progress, cancel: CancelToken) -> int:
        for number, (image, before, after) in enumerate(plans):
            if cancel.cancelled:
                break
            study.save_annotations(image, after, session.geometry(image))
            changes.append(Change(image, before, after, "Accept all below a limit"))
            progress(ProgressEvent("accepting", (number + 1) / len(plans)))
        return len(changes)

    job = Job(JobKind.WRITE, work)
    store.paused = "Predictions are being accepted: wait for its end, then repeat your last step"

    def ended() -> None:
        store.paused = ""
        if not changes:
            return
        for change in changes:
            store.take_saved(change.image, change.after)
        first, *more = changes
        session.undo_stack.push(Change(first.image, first.before, first.after, first.label, tuple(more)))
        session.predictions_changed.emit()
        session.landmarks_changed.emit(session.current_image)

    job.ended.connect(ended)
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job


def accepted(
    annotation: LandmarkSet, prediction: LandmarkSet, names: list[str], shape: tuple[int, ...]
) -> LandmarkSet:
    """An annotation with predicted positions placed; what a person decided stays, what is outside is left out."""
    marks = annotation
    for name in names:
        position = prediction[name].position
        if annotation[name].status.is_manual or position is None or len(position) != len(shape):
            continue
        if all(-0.5 <= value <= size - 0.5 for value, size in zip(position, shape, strict=True)):
            marks = marks.with_landmark(Landmark(name, position, Status.PLACED))
    return marks
