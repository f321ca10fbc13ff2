"""Input of a training, and the callers that watch it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.study.study import Study
from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.preview import Preview
from napari_landmark.learning.device import Device
from napari_landmark.progress import CancelToken, Progress


@dataclass(frozen=True, kw_only=True)
class TrainingTask:
    """Input of one training.

    Parameters
    ----------
    study, cohort, options, device
    annotated : sequence of Template
        All manually annotated images: labels of weight 1.
    templates : sequence of Template
        Those of them that are matched in other images.
    folder : Path
        Of the model; checkpoints and pseudo-labels are kept there until the training is complete.
    resume : bool
        Continue from the checkpoints and pseudo-labels in `folder`.
    """

    study: Study
    cohort: Cohort
    annotated: Sequence[Template]
    templates: Sequence[Template]
    options: TrainingOptions
    device: Device
    folder: Path
    resume: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainingMonitor:
    """Callbacks of one training, all optional.

    Parameters
    ----------
    progress : Progress, optional
    cancel : CancelToken, optional
    preview : Preview, optional
        Called every few seconds with the model trained so far.
    """

    progress: Progress | None = None
    cancel: CancelToken | None = None
    preview: Preview | None = None

    @property
    def cancelled(self) -> bool:
        """Whether the training shall end."""
        return self.cancel is not None and self.cancel.cancelled
