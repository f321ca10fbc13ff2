"""Predictions that nobody decided on yet, the most doubtful first, and how far their review is."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_landmark.data.errors import InputError
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.session import Session

_LONGEST = 120.0  # seconds between two images: longer is a break
_INTERVALS = 20
_LEAST_INTERVALS = 3


@dataclass(frozen=True)
class ReviewProgress:
    """Images that were reviewed.

    Parameters
    ----------
    reviewed, total, corrected : int
        An image is reviewed once a person decided on each of its landmarks.
    seconds_left : float or None
        Estimate from the last images; None before there are some.
    """

    reviewed: int
    total: int
    corrected: int
    seconds_left: float | None

    @property
    def text(self) -> str:
        """As a person reads it: '37 of 148 reviewed, 12 corrected, about 9 minutes left'."""
        text = f"{self.reviewed} of {self.total} reviewed"
        if self.corrected:
            text += f", {self.corrected} corrected"
        if self.seconds_left is not None and self.reviewed < self.total:
            minutes = self.seconds_left / 60
            left = f"{minutes:.0f} minutes" if minutes >= 1.5 else "a minute"
            text += f", about {left} left"
        return text


class ReviewQueue:
    """Order of the undecided predictions of all images by expected error, and the pace of review.

    Parameters
    ----------
    session : Session
    clock : callable, optional
        Seconds.
    """

    def __init__(self, session: Session, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._clock = clock
        self._left_at = math.inf, -1
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)
        self._reviewed = 0
        self._since = clock()
        session.study_changed.connect(self._on_study)
        session.landmarks_changed.connect(self._on_landmarks)

    def go_to_next(self) -> None:
        """Show the most doubtful undecided landmark that comes after the one that was shown last; from the first again.

        Raises
        ------
        InputError
            There is none, or its image cannot be read.
        """
        session = self._session
        images = session.names
        names = session.require_study().schema.names
        errors = self.errors().ravel()
        order = np.argsort(-errors, kind="stable")
        order = order[np.isfinite(errors[order])]
        if not len(order):
            raise InputError("every prediction is reviewed")
        last, row = self._left_at
        # Stable order: by falling error, then by number.
        later = (errors[order] < last) | ((errors[order] == last) & (order > row))
        here = self._flat_index()
        later &= order != here
        found = int(order[int(np.argmax(later))]) if later.any() else int(order[0])
        self._left_at = float(errors[found]), found
        image, name = images[found // len(names)], names[found % len(names)]
        session.show(image)
        session.select_landmark(name)
        session.go_to_landmark()

    def accept_image(self) -> None:
        """Accept the predictions of the current image and show the next one, of the list on show, that has any left.

        Its most doubtful landmark is selected. Images that cannot be read are passed over.

        Raises
        ------
        InputError
            A prediction cannot be accepted, or the images that are left cannot be read.
        """
        session = self._session
        AnnotationEditor(session).accept()
        if not session.require_store().any_prediction:
            raise InputError("there is no prediction to accept: detect first")
        problem = None
        for image in self._undecided(session.image_order.after(session.current_image)):
            try:
                session.show(image)
            except InputError as error:
                problem = problem or error
                continue
            errors = self.errors()[session.require_cohort().index(image)]
            session.select_landmark(session.require_study().schema.names[int(np.nanargmax(errors))])
            return
        if problem is not None:
            raise problem
        listed = " of the list" if session.image_order.is_of_list else ""
        session.message.emit("info", f"Every image{listed} is reviewed.")

    def _undecided(self, images: Sequence[str]) -> list[str]:
        """Those of some images that have a prediction that nobody decided on."""
        errors = self._session.require_store().undecided_errors(images)
        return [image for image, row in zip(images, errors, strict=True) if not np.isnan(row).all()]

    def errors(self) -> np.ndarray:
        """(images, landmarks) expected errors of undecided predictions in a unit that compares images; else NaN.

        A prediction whose expected error is not known counts as the most doubtful one.
        """
        session = self._session
        store = session.require_store()
        errors = store.undecided_errors(session.names)
        lengths = np.array([session.pixel_lengths.get(name, 1.0) for name in session.names])
        comparable = np.asarray(errors * lengths[:, None], dtype=float)
        unknown = np.isinf(errors)
        finite = comparable[np.isfinite(comparable)]
        comparable[unknown] = 1e6 if not len(finite) else 2 * float(finite.max())
        return comparable

    @property
    def progress(self) -> ReviewProgress:
        """State of the review of all images."""
        session = self._session
        store = session.require_store()
        reviewed, corrected = (
            store.reviewed_count(session.names),
            store.state_counts(session.names)["corrected"],
        )
        left = None
        if len(self._intervals) >= _LEAST_INTERVALS:
            left = float(np.median(self._intervals)) * (len(session.names) - reviewed)
        return ReviewProgress(reviewed, len(session.names), corrected, left)

    def _flat_index(self) -> int:
        session, names = self._session, self._session.require_study().schema.names
        if session.current_landmark not in names or not session.current_image:
            return -1
        number = session.require_cohort().index(session.current_image)
        return number * len(names) + names.index(session.current_landmark)

    def _on_study(self) -> None:
        self._left_at = math.inf, -1
        self._intervals.clear()
        store = self._session.landmark_store
        self._reviewed = 0 if store is None else store.reviewed_count(self._session.names)
        self._since = self._clock()

    def _on_landmarks(self, image: str) -> None:
        """Learn the pace: the time since the image before was done."""
        store = self._session.landmark_store
        if store is None:
            return
        reviewed, before = store.reviewed_count(self._session.names), self._reviewed
        self._reviewed = reviewed
        if reviewed <= before:
            return
        now = self._clock()
        took, self._since = now - self._since, now
        if took < _LONGEST and reviewed == before + 1:  # many at once tell nothing of the pace
            self._intervals.append(took)
