"""Jobs of a study that an earlier viewer started: found again, and followed to their end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from napari_landmark.backend.host_jobs import ALL_KINDS, DetectOnHostJob, TrainOnHostJob
from napari_landmark.backend.job_file import read_job, write_job
from napari_landmark.backend.job_record import JobRecord, Step, list_records, new_record
from napari_landmark.backend.jobs.detect import DetectJob
from napari_landmark.backend.jobs.detect_study import DetectStudyJob
from napari_landmark.backend.jobs.label_study import LabelStudyJob
from napari_landmark.backend.jobs.register_study import RegisterStudyJob
from napari_landmark.backend.jobs.register_train_study import RegisterTrainStudyJob
from napari_landmark.backend.jobs.suggest import SuggestJob
from napari_landmark.backend.jobs.train import TrainJob
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.file_lock import LockHeldError, acquire_lock
from napari_landmark.gui.jobs.detect import detect_all_job
from napari_landmark.gui.jobs.label_study import label_study_job
from napari_landmark.gui.jobs.process_job import ProcessJob
from napari_landmark.gui.jobs.register_study import register_study_job
from napari_landmark.gui.jobs.register_train import train_registration_job
from napari_landmark.gui.jobs.suggest import suggest_job
from napari_landmark.gui.jobs.train import train_job
from napari_landmark.gui.session.session import Session

logger = logging.getLogger(__name__)

_MAKERS: dict[str, Callable[[Session, JobRecord, str], ProcessJob]] = {
    TrainJob.KIND: lambda session, record, host: train_job(session, record=record),
    TrainOnHostJob.KIND: lambda session, record, host: train_job(session, record=record, host=host),
    DetectStudyJob.KIND: lambda session, record, host: detect_all_job(session, model=None, record=record),
    DetectOnHostJob.KIND: lambda session, record, host: detect_all_job(
        session, model=None, record=record, host=host
    ),
    SuggestJob.KIND: lambda session, record, host: suggest_job(session, record=record),
    RegisterStudyJob.KIND: lambda session, record, host: register_study_job(
        session, session.require_study().folder, record=record
    ),
    LabelStudyJob.KIND: lambda session, record, host: label_study_job(
        session, session.require_study().folder, session.require_study().folder, record=record
    ),
    RegisterTrainStudyJob.KIND: lambda session, record, host: train_registration_job(session, record=record),
}


def unfinished_record(folder: Path) -> JobRecord | None:
    """The oldest job of a study that nobody follows and whose results were not taken over; None without one.

    A job on a host whose worker here has ended gets a new one. May be called in a thread.

    Parameters
    ----------
    folder : Path
        Of the study.
    """
    here = str(folder.absolute())
    records = [
        record
        for record in list_records()
        if record.step in (Step.READY, Step.STARTED, Step.FETCHED)
        and (record.about or {}).get("study") == here
        and not _is_followed(record)
    ]
    for record in records:
        if not record.host and record.kind in _MAKERS:
            return record
    for record in records:
        if record.host:
            try:
                return _follower(record, folder)
            except InputError as error:
                logger.warning("%s: %s", record.job_id, error)
    return None


def unfinished_job(session: Session, record: JobRecord) -> ProcessJob:
    """Follow a job that `unfinished_record` found.

    Raises
    ------
    InputError
        Its description cannot be read.
    """
    host = getattr(read_job(record.folder, ALL_KINDS), "host", "")
    return _MAKERS[record.kind](session, record, host)


def _follower(record: JobRecord, study: Path) -> JobRecord | None:
    """A worker here, ready to be started, that goes on with a job on a host."""
    job: TrainOnHostJob | DetectOnHostJob
    if record.kind == TrainJob.KIND:
        size = getattr(read_job(record.folder), "working_size", None)
        job = TrainOnHostJob(
            study=study.absolute(), host=record.host, working_size=size, job_id=record.job_id
        )
    elif record.kind == DetectJob.KIND and (record.about or {}).get("of_study") is True:
        job = DetectOnHostJob(study=study.absolute(), host=record.host, job_id=record.job_id)
    else:
        return None  # of the terminal, which takes its table over
    made = new_record(job.KIND, about={"study": str(study.absolute())})
    write_job(made.folder, job)
    return made.at(Step.READY)


def _is_followed(record: JobRecord) -> bool:
    try:
        acquire_lock(record.lock).release()
    except LockHeldError:
        return True
    except OSError:
        return True
    return False
