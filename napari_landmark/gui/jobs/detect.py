"""Detecting landmarks and computing heatmaps as long work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.errors import InputError
from napari_landmark.data.images.dicom_view import read_stated_views
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.jobs.model_cache import model_cache
from napari_landmark.gui.jobs.predictions import JobPredictions, not_found_statement
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

# Modules that need torch are imported where they are used: opening a widget does not wait for it.


@dataclass(frozen=True, eq=False)
class Heatmaps:
    """Heatmaps of one image; see `LandmarkModel.detect`.

    Parameters
    ----------
    image : str
        Name of the image.
    names : tuple of str
        Of the landmarks, in the order of the maps.
    heatmaps : (landmarks, *shape) array
        On the working grid.
    matrix, offset : (d, d) and (d,) arrays
        Image index = matrix @ heatmap index + offset.
    """

    image: str
    names: tuple[str, ...]
    heatmaps: NDArray[np.float32]
    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]


def detect_job(session: Session, *, model: str | None, device: str = "auto", image: str | None = None) -> Job:
    """Detect the landmarks of one image, or of all.

    Succeeds with the predictions by name of the image. They are in the study's files when it ends; annotations
    stay as they are.

    Parameters
    ----------
    session : Session
        With an open study.
    model : str or None
        Name of the study's model; None for the default one.
    device : str, optional
    image : str, optional
        Name of the only image to detect in.
    """
    study, cohort, cache = session.require_study(), session.require_cohort(), model_cache(session)
    saved = JobPredictions(session, None if image is None else (image,))
    not_found: dict[str, str] = {}

    def work(progress: Progress, cancel: CancelToken) -> dict[str, LandmarkSet]:
        from napari_landmark.detection.training.train import predict_cohort

        progress(ProgressEvent("Loading the model", 0.0))
        loaded = cache.load(study, name=model, device=device)
        if image is None:
            poses: dict[str, Pose] = {}
            found = predict_cohort(
                loaded,
                cohort,
                study=study,
                poses=poses,
                not_found=not_found,
                progress=progress,
                cancel=cancel,
            )
            _write_poses(study, cohort, poses)
            return found
        number = cohort.index(image)
        detection = loaded.detect_in_cohort(cohort, number)
        study.save_predictions(image, detection.landmarks, cohort.geometry(number))
        _write_poses(study, cohort, {image: detection.pose})
        return {image: detection.landmarks}

    job = Job(JobKind.DETECT, saved.read_after(work))

    def done(predictions: dict[str, LandmarkSet]) -> None:
        if predictions:
            saved.show()
        number = len(predictions) - len(not_found)
        count = "1 image" if number == 1 else f"{number} images"
        stopped = "Stopped. " if job.cancelled else ""
        lost = f" {not_found_statement(not_found)}" if not_found else ""
        session.message.emit(
            "warning" if lost else "info",
            f"{stopped}Landmarks found in {count}. What you placed or corrected stayed as it is.{lost}",
        )

    def failed(text: str) -> None:
        saved.show_new()
        session.message.emit("error", text)

    # Connected here and not in a widget, which may be closed meanwhile.
    job.succeeded.connect(done)
    job.failed.connect(failed)
    return job


def _write_poses(study: Study, cohort: Cohort, poses: Mapping[str, Pose]) -> None:
    """Write the poses of images into the table of the study, beside those of its other images."""
    from napari_landmark.detection.pose.pose_table import POSE_TABLE, update_pose_table

    files = [(name, cohort.paths[cohort.index(name)]) for name in poses]
    update_pose_table(study.folder / POSE_TABLE, poses, read_stated_views(files))


def heatmap_job(session: Session, *, model: str | None, device: str = "auto") -> Job:
    """Compute the heatmaps of the current image; succeeds with `Heatmaps`.

    Parameters
    ----------
    session : Session
        With an open study.
    model : str or None
        Name of the study's model; None for the default one.
    device : str, optional
    """
    study, cohort, image = session.require_study(), session.require_cohort(), session.current_image
    cache = model_cache(session)

    def work(progress: Progress, cancel: CancelToken) -> Heatmaps:
        progress(ProgressEvent("Computing heatmaps", 0.0))
        loaded = cache.load(study, name=model, device=device)
        found = loaded.detect_in_cohort(cohort, cohort.index(image), heatmaps=True)
        if found.heatmaps is None or found.heatmap_matrix is None or found.heatmap_offset is None:
            raise InputError(f"{image}: the model made no heatmaps")
        names = study.current_names(loaded.schema.names)
        return Heatmaps(image, names, found.heatmaps, found.heatmap_matrix, found.heatmap_offset)

    job = Job(JobKind.HEATMAPS, work)
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job
