"""Registration of a pair of images as a job."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from napari_landmark.backend.jobs.job import JobMonitor


@dataclass(frozen=True, kw_only=True)
class RegisterPairJob:
    """Registration of a moving to a fixed image, written to a folder as `register pair` does.

    Parameters
    ----------
    fixed, moving, out : Path
    model : Path, optional
        Of `register train`.
    fixed_labels, moving_labels, fixed_landmarks, moving_landmarks : Path, optional
    spacing : float, optional
        Millimetres per pixel instead of the files' own.
    device : str
    steps : int, optional
    region_weights : dict of str to float
        Weights by label.
    """

    KIND: ClassVar[str] = "register"

    fixed: Path
    moving: Path
    out: Path
    model: Path | None = None
    fixed_labels: Path | None = None
    moving_labels: Path | None = None
    fixed_landmarks: Path | None = None
    moving_landmarks: Path | None = None
    spacing: float | None = None
    device: str = "auto"
    steps: int | None = None
    region_weights: dict[str, float] = field(default_factory=dict)

    def run(self, monitor: JobMonitor) -> dict[str, Any]:
        """Register and write; nothing is written where it was cancelled."""
        from napari_landmark.registration.pairwise.pair_files import PairFiles, register_files

        files = PairFiles(
            fixed=self.fixed,
            moving=self.moving,
            fixed_labels=self.fixed_labels,
            moving_labels=self.moving_labels,
            fixed_landmarks=self.fixed_landmarks,
            moving_landmarks=self.moving_landmarks,
        )
        registered = register_files(
            files,
            self.out,
            model=self.model,
            spacing=self.spacing,
            device=self.device,
            steps=self.steps,
            regions={int(label): weight for label, weight in self.region_weights.items()},
            progress=monitor.progress,
            cancel=monitor.cancel,
        )
        if registered is None:
            return {"cancelled": True}
        return {"out": str(self.out), "measures": registered.measures, "seconds": registered.seconds}
