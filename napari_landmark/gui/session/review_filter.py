"""Choice and order of the images that are listed in review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.landmarks import Status
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.gui.session.review_order import review_order
from napari_landmark.gui.session.session import Session


class ReviewState(StrEnum):
    """State of the images, or of one landmark in the images, that are listed."""

    ANY = "Any state"
    TO_REVIEW = "To review"
    REVIEWED = "Reviewed"
    CORRECTED = "Corrected"
    MISSING = "Missing"
    DOUBTFUL = "Doubtful"
    ODD = "Odd shape"
    LEFT_OUT = "Left out"


@dataclass(frozen=True, kw_only=True)
class ReviewFilter:
    """Images that are listed.

    Parameters
    ----------
    state : ReviewState, optional
    landmark : str, optional
        Landmark that state and expected error are of; by default that of any landmark counts.
    least_error : float, optional
        Least expected error of a prediction that nobody decided on, in the unit of `Session.pixel_lengths`; with zero
        images without such a prediction are listed as well.
    """

    state: ReviewState = ReviewState.ANY
    landmark: str = ""
    least_error: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether all images are listed."""
        return self.state is ReviewState.ANY and self.least_error <= 0


def listed_images(session: Session, wanted: ReviewFilter | None = None) -> list[str]:
    """Names of the images that a filter lets through, flagged ones first, then the largest expected error.

    With a landmark the order is that of its own expected error.

    Parameters
    ----------
    session : Session
    wanted : ReviewFilter, optional
        By default all images.

    Raises
    ------
    InputError
        The study has no landmark of that name.
    """
    wanted = wanted or ReviewFilter()
    store = session.landmark_store
    if store is None:
        return list(session.names)
    if not wanted.landmark:
        errors = store.expected_errors(session.names)
        names = review_order({name: mean for name, (mean, _) in errors.items()}, session.pixel_lengths)
        # An expected error of another anatomy says little: such images come first.
        if flagged := store.flagged_images():
            names.sort(key=lambda name: name not in flagged)
    else:
        worst = _largest_errors(session, session.names, wanted.landmark)
        names = [session.names[number] for number in np.argsort(-worst, kind="stable")]
    if wanted.is_open:
        return names
    chosen = _has_state(session, names, wanted)
    if wanted.least_error > 0:
        chosen &= _largest_errors(session, names, wanted.landmark) >= wanted.least_error
    return [name for name, is_chosen in zip(names, chosen.tolist(), strict=True) if is_chosen]


def _largest_errors(session: Session, images: Sequence[str], landmark: str) -> NDArray[np.float64]:
    """(n,) largest comparable expected errors of undecided predictions; minus infinity without one."""
    store, schema = session.require_store(), session.require_study().schema
    errors = store.undecided_errors(images)
    if landmark:
        errors = errors[:, [schema.index(landmark)]]
    lengths = np.array([session.pixel_lengths.get(name, 1.0) for name in images])
    return np.asarray(
        np.nan_to_num(errors, nan=-np.inf, posinf=np.inf).max(axis=1, initial=-np.inf) * lengths
    )


def _has_state(session: Session, images: Sequence[str], wanted: ReviewFilter) -> NDArray[np.bool_]:
    """(n,) whether images, or the landmark of the filter in them, have its state."""
    store, landmark = session.require_store(), wanted.landmark
    match wanted.state:
        case ReviewState.ANY:
            return np.ones(len(images), bool)
        case ReviewState.DOUBTFUL:
            return np.array([store.is_flagged(name) for name in images], bool)
        case ReviewState.LEFT_OUT:
            return np.array([store.decision(name) is ImageDecision.LEFT_OUT for name in images], bool)
        case ReviewState.ODD:
            return np.array([_is_odd(session, name, landmark) for name in images], bool)
    columns = store.result_columns(images)
    of_landmarks: NDArray[np.bool_]
    match wanted.state:
        case ReviewState.TO_REVIEW:
            of_landmarks = columns.has_status(Status.PREDICTED)
        case ReviewState.REVIEWED if not landmark:
            return np.array([store.is_reviewed(name) for name in images], bool)
        case ReviewState.REVIEWED:
            of_landmarks = columns.is_manual
        case ReviewState.CORRECTED:
            of_landmarks = columns.has_status(Status.CORRECTED)
        case _:
            of_landmarks = columns.has_status(Status.MISSING) | columns.has_status(Status.PREDICTED_MISSING)
    if landmark:
        return of_landmarks[:, session.require_study().schema.index(landmark)]
    return np.asarray(of_landmarks.any(axis=1))


def _is_odd(session: Session, image: str, landmark: str) -> bool:
    """Whether the shape of an image is odd, or that landmark in it."""
    shape = None if session.odd_shapes is None else session.odd_shapes.shapes.get(image)
    if shape is None or not shape.finding:
        return False
    exchanged = {name for pair in shape.exchanged for name in pair}
    whole = shape.sides_exchanged or shape.mirrored
    return not landmark or whole or landmark in exchanged or landmark in shape.odd_landmarks
