"""Jobs that let a host do the work: a worker here prepares it, sends it, follows it and takes the results over.

Such a worker outlives whoever started it, as any worker does. Where it ends before the host has, a new one goes on with
the job of that name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from napari_landmark.backend.client import JobClient, JobState, JobStatus
from napari_landmark.backend.hosts import find_host
from napari_landmark.backend.job_file import KINDS
from napari_landmark.backend.job_record import JobRecord, read_record
from napari_landmark.backend.jobs.job import JobMonitor, KilledError
from napari_landmark.backend.jobs.train import TrainJob
from napari_landmark.backend.machines import machine_of
from napari_landmark.backend.progress_file import (
    DeviceChosen,
    HostState,
    LogLine,
    PreviewLandmarks,
)
from napari_landmark.backend.sending import SentNames, prepare_detection, prepare_training
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.dicom_view import read_stated_views
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.progress import Cancelled, ProgressEvent

_SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True, kw_only=True)
class TrainOnHostJob:
    """Training of a study on a host; model, predictions and report come into the study.

    Parameters
    ----------
    study : Path
    host : str
        Name of the host.
    device : str
        Of the host.
    seed : int
    minutes : float, optional
    working_size : int, optional
        Longest side of the working grid.
    job_id : str
        Name of the job on the host that is gone on with; a new one is made by default.
    """

    KIND: ClassVar[str] = "train on host"

    study: Path
    host: str
    device: str = "auto"
    seed: int = 0
    minutes: float | None = None
    working_size: int | None = None
    job_id: str = ""

    def run(self, monitor: JobMonitor) -> dict[str, Any]:
        """Train there; a stopped training leaves a usable model, where it had one yet."""
        study = Study.open(self.study)
        cohort = _cohort(study, self.working_size, monitor)
        record = read_record(self.job_id) if self.job_id else self._prepare(study, cohort, monitor)
        _require_result(follow_on_host(record, study.schema, monitor))
        from napari_landmark.backend.receiving import receive_training
        from napari_landmark.detection.training.report import write_report
        from napari_landmark.detection.training.summary import summarize

        report = receive_training(record, study, cohort)
        tidy_up(record)
        if report is None:
            raise Cancelled
        if not report.cancelled:
            write_report(study, cohort, report)
        return {
            "model": report.model_dir.name,
            "cancelled": report.cancelled,
            "seconds": round(report.seconds, 1),
            "summary": summarize(report, cohort).to_json(),
        }

    def _prepare(self, study: Study, cohort: Cohort, monitor: JobMonitor) -> JobRecord:
        job = TrainJob(
            study=study.folder,
            images=cohort.folder,
            device=self.device,
            seed=self.seed,
            minutes=self.minutes,
            working_size=self.working_size,
        )
        return prepare_training(
            study,
            cohort,
            job,
            find_host(self.host),
            confirmed=True,  # whoever made this job has asked
            progress=monitor.progress,
            cancel=monitor.cancel,
        )


@dataclass(frozen=True, kw_only=True)
class DetectOnHostJob:
    """Detection on a host in all images of a study, or in the new ones; predictions and poses come into the study.

    Parameters
    ----------
    study : Path
    host : str
        Name of the host.
    model : str, optional
        Name of the model's folder; the study's default otherwise.
    device : str
        Of the host.
    working_size : int, optional
        Longest side of the working grid.
    job_id : str
        Name of the job on the host that is gone on with; a new one is made by default.
    only_new : bool
        Whether only images are sent that the model did not predict yet.
    """

    KIND: ClassVar[str] = "detect on host"

    study: Path
    host: str
    model: str | None = None
    device: str = "auto"
    working_size: int | None = None
    job_id: str = ""
    only_new: bool = False

    def run(self, monitor: JobMonitor) -> dict[str, Any]:
        """Detect there; nothing is taken over where it was stopped."""
        study = Study.open(self.study)
        cohort = _cohort(study, self.working_size, monitor)
        geometries = {name: cohort.geometry(number) for number, name in enumerate(cohort.names)}
        record = read_record(self.job_id) if self.job_id else self._prepare(study, cohort, monitor)
        _require_result(follow_on_host(record, study.schema, monitor))
        count, not_found = _take_over(record, study, cohort, geometries, self._folder(study).name)
        tidy_up(record)
        return {"images": count, "not_found": not_found, "cancelled": False}

    def _folder(self, study: Study) -> Path:
        from napari_landmark.detection.model.store import require_default_folder

        return require_default_folder(study) if self.model is None else study.models_dir / self.model

    def _prepare(self, study: Study, cohort: Cohort, monitor: JobMonitor) -> JobRecord:
        from napari_landmark.detection.inference.detect import ImageReference
        from napari_landmark.detection.model.store import new_images

        folder = self._folder(study)
        names = new_images(study, cohort.names, model=folder.name) if self.only_new else cohort.names
        if not names:
            raise InputError(f"{study.folder}: model {folder.name} predicted all images already")
        return prepare_detection(
            study,
            folder,
            [ImageReference(name, cohort.paths[cohort.index(name)]) for name in names],
            find_host(self.host),
            device=self.device,
            spacing=study.spacing,
            confirmed=True,
            about={"study": str(study.folder.absolute()), "of_study": True},
            progress=monitor.progress,
            cancel=monitor.cancel,
        )


HOST_KINDS: Mapping[str, type[Any]] = {kind.KIND: kind for kind in (TrainOnHostJob, DetectOnHostJob)}
"""Jobs that need hosts, by the name of their kind."""
ALL_KINDS: Mapping[str, type[Any]] = {**KINDS, **HOST_KINDS}
"""All jobs that a worker of this machine does, by the name of their kind."""


def follow_on_host(record: JobRecord, schema: LandmarkSchema, monitor: JobMonitor) -> JobStatus:
    """Follow a job on a host to its end, and pass on what it tells.

    Parameters
    ----------
    record : JobRecord
    schema : LandmarkSchema
        Of the study, for previews.
    monitor : JobMonitor

    Raises
    ------
    InputError
        Another program follows the job, or its host is not known any more.
    """
    client = JobClient(record, machine_of(record))
    names = SentNames.read(record)
    relay = _Relay(record, names, schema, monitor)
    client.start()
    try:
        while not (status := client.wait(_SECONDS_BETWEEN_LOOKS)).state.is_final:
            relay.pass_on(client, status)
        relay.pass_on(client, status)
        return status
    finally:
        client.close()


class _Relay:
    """Passes on what a job on a host tells, and to it what its user asks."""

    def __init__(
        self, record: JobRecord, sent: SentNames, schema: LandmarkSchema, monitor: JobMonitor
    ) -> None:
        self._record, self._here, self._schema, self._monitor = record, sent.names, schema, monitor
        self._there = {here: there for there, here in sent.names.items()}
        self._shows_previews = not sent.reduced
        self._told: HostState | None = None
        self._watched, self._stopped = "", False

    def pass_on(self, client: JobClient, status: JobStatus) -> None:
        """Pass on what is new."""
        monitor = self._monitor
        state = HostState(
            self._record.host,
            self._record.job_id,
            status.state,
            round(status.since, 1),
            round(status.sent, 2),
            str(status.error) if status.error and status.state is JobState.UNREACHABLE else "",
        )
        if state != self._told:
            self._told = state
            monitor.host_state(state)
        for entry in client.take_entries():
            content = entry.content
            if isinstance(content, ProgressEvent):
                monitor.progress(content)
            elif isinstance(content, LogLine):
                monitor.log(content.text)
            elif isinstance(content, DeviceChosen):
                monitor.device(content.device, content.budget)
            elif isinstance(content, PreviewLandmarks) and content.image in self._here:
                monitor.preview(self._here[content.image], preview_landmarks(content, self._schema))
        watched = self._there.get(monitor.watched(), "")
        if watched != self._watched and self._shows_previews:
            self._watched = watched
            client.watch(watched)
        if monitor.cancel.cancelled and not self._stopped:
            self._stopped = True
            client.stop()


def preview_landmarks(preview: PreviewLandmarks, schema: LandmarkSchema) -> LandmarkSet:
    """Landmarks of a preview; those of other names than the schema's are left out."""
    marks = (
        Landmark(name, position, Status.PREDICTED)
        for name, position in preview.positions.items()
        if name in schema and position is not None
    )
    return LandmarkSet(schema, marks)


def _cohort(study: Study, working_size: int | None, monitor: JobMonitor) -> Cohort:
    return Cohort.from_folder(
        study.require_images(),
        spacing=study.spacing,
        working_size=working_size,
        extra=study.extra,
        progress=monitor.progress,
        cancel=monitor.cancel,
    )


def _require_result(status: JobStatus) -> None:
    """Go on where a job on a host has a result; raise why it has none otherwise."""
    if status.state is JobState.KILLED:
        raise KilledError
    if status.state is JobState.STOPPED and not (status.done and status.done.result):
        raise Cancelled
    if status.state not in (JobState.DONE, JobState.STOPPED):
        raise status.error or InputError("the job on the host failed")


def _take_over(
    record: JobRecord, study: Study, cohort: Cohort, geometries: Mapping[str, Geometry], model: str
) -> tuple[int, dict[str, str]]:
    """Write predictions and poses of a detection into the study.

    Returns the number of images that were looked at, and those without a prediction by name, with the reason.
    """
    from napari_landmark.backend.receiving import receive_detections
    from napari_landmark.detection.pose.pose_table import POSE_TABLE, update_pose_table

    found = receive_detections(record, [], geometries)
    if found.cancelled:
        raise Cancelled
    study.save_all_predictions(
        found.landmarks,
        {name: geometries[name] for name in found.landmarks},
        further_subjects=found.further_subjects,
        model=model,
    )
    files = [(name, cohort.paths[cohort.index(name)]) for name in found.poses]
    update_pose_table(study.folder / POSE_TABLE, found.poses, read_stated_views(files))
    not_found = {skipped.name: skipped.reason for skipped in found.skipped_files}
    return len({*found.landmarks, *not_found}), not_found


def tidy_up(record: JobRecord) -> None:
    """Remove a job on a host there and here; where it cannot be reached, its folder there stays."""
    with contextlib.suppress(InputError):
        machine_of(record).remove(record.job_id, record.folder)
    record.remove()
