"""Label maps of all images of a study from those of a few of them as a job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from napari_landmark.backend.jobs.job import JobMonitor
from napari_landmark.backend.jobs.study_images import study_images
from napari_landmark.data.errors import InputError
from napari_landmark.data.study.study import Study


@dataclass(frozen=True, kw_only=True)
class LabelStudyJob:
    """Label maps of a few images of a study carried to all others.

    Parameters
    ----------
    study : Path
    labels : Path
        Folder of the label maps that there are, called like their images.
    out : Path
        Folder of the new ones.
    model : Path, optional
        Folder of a registration model.
    device : str
    """

    KIND: ClassVar[str] = "label study"

    study: Path
    labels: Path
    out: Path
    model: Path | None = None
    device: str = "auto"

    def run(self, monitor: JobMonitor) -> dict[str, Any]:
        """Label; images that were finished before a cancellation are kept."""
        from napari_landmark.learning.device import choose_device
        from napari_landmark.registration.label_map import find_label_maps
        from napari_landmark.registration.options import PairOptions
        from napari_landmark.registration.pairwise.cohort_labels import LabelledCohort, label_cohort

        study = Study.open(self.study)
        files = study_images(study, monitor)
        maps = find_label_maps(self.labels, files)
        if not maps:
            raise InputError(
                f"{self.labels}: none of its files is called like an image of the study; a label map has the name of "
                "its image"
            )
        monitor.device(str(choose_device(self.device)), "")
        found = label_cohort(
            LabelledCohort(images=files, labels=maps, spacing=study.spacing),
            self.out,
            model=self.model,
            options=PairOptions(device=self.device),
            progress=monitor.progress,
            cancel=monitor.cancel,
        )
        overlaps = list(found.expected_dice.values())
        return {
            "images": len(found.agreement),
            "given": len(maps),
            "expected_dice": sum(overlaps) / len(overlaps) if overlaps else None,
            "problems": found.problems,
            "cancelled": found.cancelled,
        }
