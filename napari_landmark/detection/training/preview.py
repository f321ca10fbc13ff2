"""What a training has learned so far, shown now and then while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import nn

from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.progress import Progress, ProgressEvent

Preview = Callable[[LandmarkModel], None]
"""Given a model of what was learned so far, in the thread that trains; it must not keep the model."""


def with_preview(
    progress: Progress | None,
    preview: Preview | None,
    build: Callable[[], LandmarkModel],
    network: nn.Module,
    *,
    seconds: float = 8.0,
    after: float = 0.0,
) -> Progress | None:
    """`progress` that also calls `preview` every few seconds.

    Parameters
    ----------
    build : callable
        Gives the model as it is now.
    network : nn.Module
        The one in training, which is put back into training mode afterwards.
    seconds : float
        Between previews, at least.
    after : float
        Done part of the stage before which there is nothing worth seeing.
    """
    if preview is None:
        return progress
    due = time.monotonic() + 0.4 * seconds  # the first picture comes early

    def report(event: ProgressEvent) -> None:
        nonlocal due
        if progress is not None:
            progress(event)
        if after <= event.fraction < 1 and time.monotonic() > due:
            started = time.monotonic()
            preview(build())
            network.train()
            # On a slow machine previews come more seldom and never take more than a tenth of the time.
            due = time.monotonic() + max(seconds, 9 * (time.monotonic() - started))

    return report
