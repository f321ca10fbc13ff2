"""Registration of all images of a study to one of them as a job."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from napari_landmark.backend.jobs.job import JobMonitor
from napari_landmark.backend.jobs.study_images import study_images
from napari_landmark.data.study.study import Study


@dataclass(frozen=True, kw_only=True)
class RegisterStudyJob:
    """Registration of all images of a study to one of them, each into a folder of its own.

    Parameters
    ----------
    study : Path
        Its annotations and predictions are warped, too.
    fixed : str
        Name of the image that stays as it is.
    out : Path
        Folder of the results.
    model : Path, optional
        Folder of a registration model.
    guide : bool
        Whether the landmarks guide the registrations.
    device : str
    region_weights : dict of str to float
        Weights by label.
    """

    KIND: ClassVar[str] = "register study"

    study: Path
    fixed: str
    out: Path
    model: Path | None = None
    guide: bool = True
    device: str = "auto"
    region_weights: dict[str, float] = field(default_factory=dict)

    def run(self, monitor: JobMonitor) -> dict[str, Any]:
        """Register; images that were finished before a cancellation are kept."""
        from napari_landmark.learning.device import choose_device
        from napari_landmark.registration.pairwise.cohort_registration import CohortImages, register_cohort

        study = Study.open(self.study)
        files = study_images(study, monitor, wanted=self.fixed)
        results = {name: study.result(name) for name in files}
        monitor.device(str(choose_device(self.device)), "")
        cohort = CohortImages(fixed=self.fixed, images=files, landmarks=results, spacing=study.spacing)
        found = register_cohort(
            cohort,
            self.out,
            model=self.model,
            device=self.device,
            regions={int(label): weight for label, weight in self.region_weights.items()},
            guide=self.guide,
            progress=monitor.progress,
            cancel=monitor.cancel,
        )
        return {"images": len(found.measures), "problems": found.problems, "cancelled": found.cancelled}
