"""Reading two images of the study to register, with their label maps and landmarks, as long work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

_USUAL_FOLDERS = ("labels", "label maps", "label_maps", "labelmaps", "masks", "segmentations")


@dataclass(frozen=True, eq=False)
class StudyImage:
    """An image of the study with what belongs to it.

    Parameters
    ----------
    image : MedicalImage
    file : Path
    labels : integer array of the shape of the image, or None
    landmarks : LandmarkSet or None
        In index coordinates.
    """

    image: MedicalImage
    file: Path
    labels: NDArray[np.integer] | None = None
    landmarks: LandmarkSet | None = None


def study_pair_job(
    session: Session, fixed: str, moving: str, *, labels: Path | None = None, landmarks: bool = True
) -> Job:
    """Read two images of the open study; succeeds with both as `StudyImage`, the fixed one first.

    Parameters
    ----------
    session : Session
        With an open study.
    fixed, moving : str
        Names of the images.
    labels : Path, optional
        Folder of label maps, files of the same names as the images.
    landmarks : bool, optional
        Whether to take the landmarks of the study, placed or predicted, where both images have some.

    Raises
    ------
    InputError
        The images are the same.
    """
    if fixed == moving:
        raise InputError(f"{fixed} is chosen as fixed and as moving image: choose another one.")
    cohort, names = session.require_cohort(), (fixed, moving)
    marks = {name: session.result(name) for name in names}
    shared = landmarks and all(found.ndim is not None for found in marks.values())

    def work(progress: Progress, cancel: CancelToken) -> tuple[StudyImage, ...] | None:
        from napari_landmark.registration.label_map import find_label_maps, read_label_map

        maps = {} if labels is None else find_label_maps(labels, names)
        if labels is not None and not maps:
            raise InputError(f"{labels}: has no label maps of {fixed} and {moving}: files of the same names")
        found = []
        for number, name in enumerate(names):
            if cancel.cancelled:
                return None
            progress(ProgressEvent("reading images", number / len(names)))
            image = cohort.read(cohort.index(name))
            found.append(
                StudyImage(
                    image,
                    cohort.paths[cohort.index(name)],
                    read_label_map(maps[name], image.geometry) if name in maps else None,
                    marks[name] if shared else None,
                )
            )
        return tuple(found)

    job = Job(JobKind.READ_IMAGES, work)
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job


def usual_label_folder(images: Path) -> Path | None:
    """Folder of label maps beside a folder of images, by its usual names; None without."""
    return next((path for name in _USUAL_FOLDERS if (path := images.parent / name).is_dir()), None)
