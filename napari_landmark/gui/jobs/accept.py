"""Accepting all predictions of a study whose expected error is small, as long work that is undone as one change."""

from __future__ import annotations

import numpy as np

from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.gui.jobs.annotate_images import annotate_images_job
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.session.review_queue import ReviewQueue
from napari_landmark.gui.session.session import Session


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
    """Accept predictions as annotation; see `annotate_images_job`.

    Parameters
    ----------
    chosen : dict of str to list of str
        Names of landmarks by image.

    Raises
    ------
    InputError
        Another program annotates the study.
    """
    annotations = {
        image: accepted(
            session.annotation(image), session.prediction(image), names, session.geometry(image).shape
        )
        for image, names in chosen.items()
    }
    return annotate_images_job(
        session,
        annotations,
        label="Accept all below a limit",
        stage="accepting",
        reason="Predictions are being accepted",
    )


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
