"""Training of a registration model as a job."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from napari_landmark.backend.jobs.job import JobMonitor


@dataclass(frozen=True, kw_only=True)
class RegisterTrainJob:
    """Training on a folder of images and one of label maps, as `register train` does.

    Parameters
    ----------
    images, labels, out : Path
        Folders of the images, of the label maps, and of the model.
    spacing : float, optional
        Millimetres per pixel instead of the files' own.
    minutes : float, optional
    device : str
    seed : int
    resume : bool
        Continue the interrupted training in `out`.
    full_hash : bool
    region_weights : dict of str to float
        Weights by label.
    """

    KIND: ClassVar[str] = "register train"

    images: Path
    labels: Path
    out: Path
    spacing: float | None = None
    minutes: float | None = None
    device: str = "auto"
    seed: int = 0
    resume: bool = False
    full_hash: bool = False
    region_weights: dict[str, float] = field(default_factory=dict)

    def run(self, monitor: JobMonitor) -> dict[str, Any]:
        """Train; a cancelled training leaves a usable model."""
        from napari_landmark.learning.device import choose_device
        from napari_landmark.registration.losses import LossWeights
        from napari_landmark.registration.options import default_registration_options
        from napari_landmark.registration.training.folder import gather_images, require_label_maps
        from napari_landmark.registration.training.train import train_registration

        regions = {int(label): weight for label, weight in self.region_weights.items()}
        options = default_registration_options(
            choose_device(self.device),
            seed=self.seed,
            minutes=self.minutes,
            weights=LossWeights(regions=regions),
        )
        cohort = gather_images(
            self.images, spacing=self.spacing, progress=monitor.progress, cancel=monitor.cancel
        )
        for skipped in cohort.skipped_files:
            monitor.log(f"left out: {skipped.name}: {skipped.reason}")
        model = train_registration(
            cohort,
            require_label_maps(self.labels, cohort, regions),
            options=options,
            folder=self.out,
            resume=self.resume,
            progress=monitor.progress,
            cancel=monitor.cancel,
            full_hash=self.full_hash,
        )
        return {
            "out": str(self.out),
            "cancelled": bool(model.record.get("cancelled")),
            "seconds": model.record.get("seconds", 0.0),
        }
