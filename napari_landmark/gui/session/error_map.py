"""Expected errors of all landmarks in all images as an array, with what was decided and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.landmarks import Status
from napari_landmark.gui.session.review_filter import listed_images
from napari_landmark.gui.session.session import Session

_TOP = 95.0  # percentile of the errors that has the last colour: few are far larger


class CellState(IntEnum):
    """State of a landmark in an image; the later one counts where several images share a cell."""

    EMPTY = 0
    MISSING = 1
    PLACED = 2
    CORRECTED = 3
    PREDICTED = 4


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """Expected errors of m landmarks in n images, in the order of review.

    Parameters
    ----------
    images, landmarks : tuple of str
    errors : (n, m) array
        Expected errors of predictions that nobody decided on, in the unit of `Session.pixel_lengths`; infinity where it
        is not known, NaN without such a prediction.
    states : (n, m) array
        Numbers of `CellState`.
    """

    images: tuple[str, ...]
    landmarks: tuple[str, ...]
    errors: NDArray[np.float64]
    states: NDArray[np.uint8]

    @classmethod
    def of(cls, session: Session) -> Self:
        """Map of all images of the open study; InputError without one."""
        schema = session.require_study().schema
        images = tuple(listed_images(session))
        return cls(images, schema.names, *_cells(session, images))

    def row(self, image: str) -> int:
        """Row of an image; -1 where it has none."""
        return self.images.index(image) if image in self.images else -1

    def column(self, landmark: str) -> int:
        """Column of a landmark; -1 where it has none."""
        return self.landmarks.index(landmark) if landmark in self.landmarks else -1

    def update(self, session: Session, image: str) -> bool:
        """Take over the landmarks of an image as they are now; whether it is in the map. The order stays."""
        row = self.row(image)
        if row < 0 or session.require_study().schema.names != self.landmarks:
            return False
        errors, states = _cells(session, (image,))
        self.errors[row], self.states[row] = errors[0], states[0]
        return True

    @property
    def top(self) -> float:
        """Error that has the last colour: the 95th percentile of the known ones; 0 without any."""
        known = self.errors[np.isfinite(self.errors)]
        return float(np.percentile(known, _TOP)) if len(known) else 0.0

    def worst_row(self, first: int, last: int, column: int) -> int:
        """Row of the most doubtful image among those from `first` up to `last`, without it, at a landmark."""
        errors = np.nan_to_num(self.errors[first:last, column], nan=-1.0, posinf=np.inf)
        return first + int(np.argmax(errors))

    def reduced(self, rows: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Errors and states of blocks of so many consecutive images: the largest error, hence none is lost.

        Returns
        -------
        errors : (ceil(n / rows), m) array
        states : (ceil(n / rows), m) array
        """
        if rows <= 1 or not len(self.images):
            return self.errors, self.states
        starts = np.arange(0, len(self.images), rows)
        with np.errstate(invalid="ignore"):
            return np.fmax.reduceat(self.errors, starts), np.maximum.reduceat(self.states, starts)


def _cells(session: Session, images: tuple[str, ...]) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    store = session.require_store()
    lengths = np.array([session.pixel_lengths.get(name, 1.0) for name in images])
    errors = np.asarray(store.undecided_errors(images) * lengths[:, None])
    columns = store.result_columns(images)
    states = np.zeros(errors.shape, np.uint8)
    for status, state in (
        (Status.MISSING, CellState.MISSING),
        (Status.PREDICTED_MISSING, CellState.MISSING),
        (Status.PLACED, CellState.PLACED),
        (Status.CORRECTED, CellState.CORRECTED),
        (Status.PREDICTED, CellState.PREDICTED),
    ):
        states[columns.has_status(status)] = state
    return errors, states
