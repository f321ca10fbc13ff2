"""Detecting landmarks and computing heatmaps as long work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_landmark.backend.host_jobs import DetectOnHostJob
from napari_landmark.backend.job_record import JobRecord
from napari_landmark.backend.jobs.detect_study import DetectStudyJob
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.errors import InputError
from napari_landmark.data.images.dicom_view import read_stated_views
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import require_default_folder
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.jobs.model_cache import model_cache
from napari_landmark.gui.jobs.predictions import JobPredictions, not_found_statement
from napari_landmark.gui.jobs.process_job import ProcessJob
from napari_landmark.gui.session.running_job import JobKind, RunningJob
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


def detect_job(session: Session, *, model: str | None, image: str, device: str = "auto") -> Job:
    """Detect the landmarks of one image, in a thread.

    Succeeds with the name of the image. Its prediction is in the study's files when it ends; annotations stay as they
    are.

    Parameters
    ----------
    session : Session
        With an open study.
    model : str or None
        Name of the study's model; None for the default one.
    image : str
        Name of the image.
    device : str, optional
    """
    study, cohort, cache = session.require_study(), session.require_cohort(), model_cache(session)
    saved = JobPredictions(session, (image,))

    def work(progress: Progress, cancel: CancelToken) -> str:
        progress(ProgressEvent("Loading the model", 0.0))
        loaded = cache.load(study, name=model, device=device)
        number = cohort.index(image)
        detection = loaded.detect_in_cohort(cohort, number)
        geometry, further = cohort.geometry(number), detection.subjects[1:]
        name = model or require_default_folder(study).name
        study.save_predictions(image, detection.landmarks, geometry, further_subjects=further, model=name)
        _write_poses(study, cohort, {image: detection.pose})
        return image

    job = Job(JobKind.DETECT, saved.read_after(work))
    _tell_end(session, job, saved, lambda _: _found_statement(1, {}, stopped=False))
    return job


@dataclass(frozen=True)
class DetectedImages:
    """Result of a detection in all images of a study.

    Parameters
    ----------
    count : int
        Images that were looked at.
    not_found : mapping of str to str
        Those without a prediction, by name, with the reason.
    cancelled : bool
        Whether it was stopped before the last image.
    """

    count: int
    not_found: Mapping[str, str]
    cancelled: bool = False


def detect_all_job(
    session: Session,
    *,
    model: str | None,
    device: str = "auto",
    host: str = "",
    only_new: bool = False,
    record: JobRecord | None = None,
) -> ProcessJob:
    """Detect the landmarks of all images of the study, or of those that the model did not predict yet.

    Succeeds with `DetectedImages`. The predictions are in the study's files when it ends; annotations stay as they are.

    Parameters
    ----------
    session : Session
        With an open study.
    model : str or None
        Name of the study's model; None for the default one.
    device : str, optional
    host : str, optional
        Name of the host that detects; this computer by default.
    only_new : bool, optional
        Whether only images are looked at that the model did not predict yet.
    record : JobRecord, optional
        Detection that an earlier viewer started, to be followed instead of a new one.
    """
    study, cohort = session.require_study(), session.require_cohort()
    saved, folder = JobPredictions(session), study.folder.absolute()

    def make(_: Path) -> DetectStudyJob | DetectOnHostJob:
        size = cohort.working_size
        if host:
            return DetectOnHostJob(
                study=folder, host=host, model=model, device=device, working_size=size, only_new=only_new
            )
        images = study.require_images().absolute()
        return DetectStudyJob(
            study=folder, images=images, model=model, device=device, working_size=size, only_new=only_new
        )

    def finish(result: dict[str, Any]) -> DetectedImages:
        return DetectedImages(
            int(result.get("images", 0)),
            dict(result.get("not_found", {})),
            result.get("cancelled", True) is not False,
        )

    job = ProcessJob(
        JobKind.DETECT,
        make,
        finish=finish,
        about={"study": str(folder)},
        record=record,
        host=host,
        after=saved.read,
    )
    job.told.connect(lambda text: session.message.emit("info", text))
    _tell_end(
        session,
        job,
        saved,
        lambda found: _found_statement(
            found.count - len(found.not_found), found.not_found, stopped=found.cancelled
        ),
    )
    return job


def _tell_end(
    session: Session, job: RunningJob, saved: JobPredictions, statement: Callable[[Any], str]
) -> None:
    """Show the predictions of a detection and tell its end, whichever widgets are open then."""

    def done(found: Any) -> None:
        if isinstance(found, DetectedImages) and not found.count:
            saved.show_new()
        else:
            saved.show()
        lost = isinstance(found, DetectedImages) and found.not_found
        session.message.emit("warning" if lost else "info", statement(found))

    def failed(text: str) -> None:
        saved.show_new()
        session.message.emit("error", text)

    job.succeeded.connect(done)
    job.failed.connect(failed)


def _found_statement(number: int, not_found: Mapping[str, str], *, stopped: bool) -> str:
    count = "1 image" if number == 1 else f"{number} images"
    early = "Stopped. " if stopped else ""
    lost = f" {not_found_statement(not_found)}" if not_found else ""
    return f"{early}Landmarks found in {count}. What you placed or corrected stayed as it is.{lost}"


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
