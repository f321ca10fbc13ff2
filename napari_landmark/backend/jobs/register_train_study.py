"""Training of a registration model on the images of a study as a job."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from napari_landmark.backend.jobs.job import JobMonitor
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.json_file import read_json_object
from napari_landmark.data.study.lock import TRAINING, StudyLock
from napari_landmark.data.study.registration_folders import new_registration_folder
from napari_landmark.data.study.study import Study


@dataclass(frozen=True, kw_only=True)
class RegisterTrainStudyJob:
    """Training on the images of a study, guided by label maps of some of them and by its landmarks.

    Parameters
    ----------
    study : Path
        The model becomes one of its registration models.
    labels : Path, optional
        Folder of label maps of some of the images.
    landmarks : bool
        Whether annotations and predictions of the study guide the training.
    minutes : float, optional
    device : str
    seed : int
    resume : Path, optional
        Folder of the interrupted training that is continued.
    region_weights : dict of str to float
        Weights by label.
    """

    KIND: ClassVar[str] = "register train study"

    study: Path
    labels: Path | None = None
    landmarks: bool = False
    minutes: float | None = None
    device: str = "auto"
    seed: int = 0
    resume: Path | None = None
    region_weights: dict[str, float] = field(default_factory=dict)

    def run(self, monitor: JobMonitor) -> dict[str, Any]:
        """Train; a cancelled training leaves a usable model."""
        study = Study.open(self.study)
        with StudyLock(study.folder, TRAINING):
            return self._train(study, monitor)

    def _train(self, study: Study, monitor: JobMonitor) -> dict[str, Any]:
        from napari_landmark.learning.device import choose_device
        from napari_landmark.registration.label_map import find_label_maps
        from napari_landmark.registration.losses import LossWeights
        from napari_landmark.registration.options import WORKING_SIZE, default_registration_options
        from napari_landmark.registration.training.train import train_registration

        device = choose_device(self.device)
        regions = {int(label): weight for label, weight in self.region_weights.items()}
        options = default_registration_options(
            device, seed=self.seed, minutes=self.minutes, weights=LossWeights(regions=regions)
        )
        monitor.device(str(device), options.describe())
        cohort = Cohort.from_folder(
            study.require_images(),
            spacing=study.spacing,
            working_size=WORKING_SIZE,
            extra=study.extra,
            progress=monitor.progress,
            cancel=monitor.cancel,
        )
        maps = {} if self.labels is None else find_label_maps(self.labels, cohort.names)
        if self.resume is not None and not maps and _began_with_labels(self.resume):
            raise InputError(
                f"{self.resume}: choose the folder of label maps that this training began with, then resume it"
            )
        folder = self.resume or new_registration_folder(study)
        model = train_registration(
            cohort,
            maps,
            options=options,
            landmarks={name: study.result(name) for name in cohort.names} if self.landmarks else None,
            folder=folder,
            resume=self.resume is not None,
            progress=monitor.progress,
            cancel=monitor.cancel,
        )
        return {
            "folder": folder.name,
            "cancelled": bool(model.record.get("cancelled")),
            "seconds": model.record.get("seconds", 0.0),
        }


def _began_with_labels(folder: Path) -> bool:
    try:
        return bool(read_json_object(folder / "run.json").get("labelled"))
    except (OSError, InputError):
        return False  # the training itself tells what is wrong with its record
