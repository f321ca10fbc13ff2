"""Detection in all images of a study as a job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from napari_landmark.backend.jobs.job import JobMonitor
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.images.dicom_view import read_stated_views
from napari_landmark.data.study.study import Study


@dataclass(frozen=True, kw_only=True)
class DetectStudyJob:
    """Detection with a model of a study in its own images, or in the new ones.

    The predictions and poses are written to the study.

    Parameters
    ----------
    study : Path
    images : Path
        Folder of the images.
    model : str, optional
        Name of the model's folder; the study's default otherwise.
    device : str
    working_size : int, optional
        Longest side of the working grid.
    only_new : bool
        Whether only images are looked at that the model did not predict yet.
    """

    KIND: ClassVar[str] = "detect study"

    study: Path
    images: Path
    model: str | None = None
    device: str = "auto"
    working_size: int | None = None
    only_new: bool = False

    def run(self, monitor: JobMonitor) -> dict[str, Any]:
        """Detect; what was predicted until a cancellation is kept."""
        from napari_landmark.detection.model.store import default_folder, load_model, new_images
        from napari_landmark.detection.pose.pose_table import POSE_TABLE, update_pose_table
        from napari_landmark.detection.training.train import predict_cohort

        study = Study.open(self.study)
        cohort = Cohort.from_folder(
            self.images,
            spacing=study.spacing,
            working_size=self.working_size,
            extra=study.extra,
            progress=monitor.progress,
            cancel=monitor.cancel,
        )
        model = load_model(study, name=self.model, device=self.device)
        folder = default_folder(study)
        name = self.model or ("" if folder is None else folder.name)
        monitor.device(str(model.device), "")
        poses: dict[str, Pose] = {}
        not_found: dict[str, str] = {}
        found = predict_cohort(
            model,
            cohort,
            study=study,
            model_name=name,
            images=new_images(study, cohort.names, model=name) if self.only_new else None,
            poses=poses,
            not_found=not_found,
            progress=monitor.progress,
            cancel=monitor.cancel,
        )
        files = [(name, cohort.paths[cohort.index(name)]) for name in poses]
        update_pose_table(study.folder / POSE_TABLE, poses, read_stated_views(files))
        return {"images": len(found), "not_found": not_found, "cancelled": monitor.cancel.cancelled}
