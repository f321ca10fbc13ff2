"""Progress and time left of a whole training, from those of its stages."""

from __future__ import annotations

import dataclasses

from napari_landmark.progress import ProgressEvent

_SECONDS = {
    "training embedding": 247,
    "training embedding across subjects": 86,
    "finding poses": 9,
    "matching template": 15,
    "training patch embedding": 210,
    "training detector": 198,
    "detecting landmarks": 14,
    "retraining detector": 159,
    "training patch detector": 46,
    "measuring errors": 25,
    "predicting cohort": 20,
}
"""What the stages took on one core for 148 radiographs, in their order; their shares are alike elsewhere."""
_STAGES, _WEIGHTS = tuple(_SECONDS), tuple(_SECONDS.values())
_ALMOST = 0.98  # done part of a stage from which its time left tells no rate


class WholeProgress:
    """Progress of a training as one: it never falls, and begins with the first stage of work that is seen.

    So an update, or a training that is resumed, begins at zero as well. Images that are read before, and states that
    are no stages, change nothing.
    """

    def __init__(self) -> None:
        self._first: int | None = None
        self._fraction = 0.0
        self._rate: float | None = None  # seconds for a second of the table

    @property
    def has_begun(self) -> bool:
        """Whether a stage of the training was seen, and not only what comes before."""
        return self._first is not None

    def whole(self, event: ProgressEvent) -> ProgressEvent:
        """The event with the done part and the time left of the whole training; None where no stage has told any."""
        if event.stage not in _SECONDS:
            left = event.seconds_left if self._first is None else None
            return dataclasses.replace(event, fraction=self._fraction, seconds_left=left)
        stage = _STAGES.index(event.stage)
        self._first = stage if self._first is None else min(self._first, stage)
        todo = _WEIGHTS[stage] * (1 - min(event.fraction, 1.0))
        later = sum(_WEIGHTS[stage + 1 :])
        total = sum(_WEIGHTS[self._first :])
        self._fraction = max(self._fraction, 1 - (todo + later) / total)
        if event.seconds_left is not None and 0 < event.fraction < _ALMOST:
            self._rate = event.seconds_left / todo
        left = event.seconds_left
        if left is None and self._rate is not None:
            left = self._rate * todo
        if left is not None:
            left = None if self._rate is None else left + self._rate * later
        return dataclasses.replace(event, fraction=self._fraction, seconds_left=left)
