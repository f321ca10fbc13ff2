"""Detection in the images of a folder as a job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from napari_landmark.backend.jobs.job import JobMonitor
from napari_landmark.data.study.settings import Spacing
from napari_landmark.data.study.study import Study
from napari_landmark.progress import Cancelled


@dataclass(frozen=True, kw_only=True)
class DetectJob:
    """Detection with a model of a study, written as `detect` does; the journal beside the table makes it resumable.

    Parameters
    ----------
    study : Path
    images : Path
    out : Path
        The table, CSV.
    model : str, optional
        Name of the model's folder; the study's default otherwise.
    heatmaps : Path, optional
    device : str
    spacing : float or tuple of float, optional
        Millimetres per pixel, in array axis order, instead of the files' own.
    full_hash : bool
    journal_only : bool
        Keep the journal as the result, and write no table.
    """

    KIND: ClassVar[str] = "detect"

    study: Path
    images: Path
    out: Path
    model: str | None = None
    heatmaps: Path | None = None
    device: str = "auto"
    spacing: Spacing = None
    full_hash: bool = False
    journal_only: bool = False

    @property
    def journal(self) -> Path:
        """Journal of the predictions made so far."""
        return self.out.with_name(f"{self.out.name}.part.jsonl")

    def run(self, monitor: JobMonitor) -> dict[str, Any]:
        """Detect; a cancelled run keeps its journal and goes on from there the next time."""
        from napari_landmark.detection.inference.folder import detect_folder
        from napari_landmark.detection.inference.result import (
            DetectionRun,
            fingerprint_of_detected,
            write_detections,
        )
        from napari_landmark.detection.model.store import load_model

        study = Study.open(self.study)
        model = load_model(study, name=self.model, device=self.device)
        digest = model.digest()
        found = detect_folder(
            model,
            self.images,
            spacing=self.spacing,
            default_spacing=study.spacing,
            heatmaps=self.heatmaps,
            journal=self.journal,
            progress=monitor.progress,
            cancel=monitor.cancel,
        )
        for skipped in found.skipped_files:
            monitor.log(f"left out: {skipped.name}: {skipped.reason}")
        result = {
            "images": len(found.landmarks),
            "left_out": len(found.skipped_files),
            "digest": digest,
            "device": str(model.device),
            "cancelled": found.cancelled,
        }
        if found.cancelled or self.journal_only:
            return result
        try:
            compared = fingerprint_of_detected(
                found,
                self.images,
                full_hash=self.full_hash,
                progress=monitor.progress,
                cancel=monitor.cancel,
            )
        except Cancelled:
            return result | {"cancelled": True}
        run = DetectionRun(
            study=self.study,
            images=self.images,
            heatmaps=self.heatmaps,
            device=self.device,
            spacing=self.spacing,
            default_spacing=study.spacing,
            model_digest=digest,
            model_record=model.record,
            computed_on=str(model.device),
        )
        write_detections(self.out, found, run, images_fingerprint=compared)
        self.journal.unlink(missing_ok=True)
        return result
