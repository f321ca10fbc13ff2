"""Preview of a training: the model trained so far, shown every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from napari_landmark.detection.model.predictor import Predictor

Preview = Callable[[Predictor], None]
"""Shows a model of a training in progress, in the thread that trains; it must not keep the model."""

_LARGEST_SHARE = 0.1  # of the time of a training


def preview_hook(
    preview: Preview | None,
    build: Callable[[], Predictor],
    *,
    seconds: float = 8.0,
    after: float = 0.0,
) -> Callable[[float], None] | None:
    """Hook for `run_training` that shows the current model between steps, None without `preview`.

    Parameters
    ----------
    build : callable
        Makes the model from the networks as they are.
    seconds : float
        Between previews, at least; longer where they would take more than a tenth of the time.
    after : float
        Done part of the stage before which none is shown.
    """
    if preview is None:
        return None
    due = time.monotonic() + 0.4 * seconds  # the first picture comes early

    def hook(fraction: float) -> None:
        nonlocal due
        started = time.monotonic()
        if not after <= fraction < 1 or started <= due:
            return
        preview(build())
        finished = time.monotonic()
        due = finished + max(seconds, (1 / _LARGEST_SHARE - 1) * (finished - started))

    return hook
