"""``job.json``: the description of one job, versioned and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_landmark.backend.jobs.detect import DetectJob
from napari_landmark.backend.jobs.detect_study import DetectStudyJob
from napari_landmark.backend.jobs.job import Job, job_parameters, parse_job
from napari_landmark.backend.jobs.label_study import LabelStudyJob
from napari_landmark.backend.jobs.register_pair import RegisterPairJob
from napari_landmark.backend.jobs.register_study import RegisterStudyJob
from napari_landmark.backend.jobs.register_train import RegisterTrainJob
from napari_landmark.backend.jobs.register_train_study import RegisterTrainStudyJob
from napari_landmark.backend.jobs.suggest import SuggestJob
from napari_landmark.backend.jobs.train import TrainJob
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.files.json_file import read_json_object, write_json_object

PROTOCOL = 1
"""Raised when ``job.json``, ``progress.jsonl``, ``done.json`` or the requests to a host change their meaning."""

JOB = "job.json"
KINDS: Mapping[str, type[Any]] = {
    kind.KIND: kind
    for kind in (
        TrainJob,
        DetectJob,
        DetectStudyJob,
        SuggestJob,
        RegisterPairJob,
        RegisterStudyJob,
        LabelStudyJob,
        RegisterTrainJob,
        RegisterTrainStudyJob,
    )
}
"""Dataclasses of jobs by the name of their kind."""


def write_job(folder: Path, job: Job) -> None:
    """Write the description of a job into its folder, whole or not at all."""
    record = {"protocol": PROTOCOL, "kind": job.KIND, "parameters": job_parameters(job)}
    write_json_object(folder / JOB, record)


def read_job(folder: Path, kinds: Mapping[str, type[Any]] | None = None) -> Job:
    """The job that a folder describes; relative paths in it begin at the folder.

    Parameters
    ----------
    folder : Path
    kinds : mapping of str to type, optional
        Jobs that are known, by the name of their kind; `KINDS` by default.

    Raises
    ------
    InputError
        There is no description, it is damaged, of another protocol, of an unknown kind, or has wrong values.
    """
    path = folder / JOB
    try:
        content = read_json_object(path)
    except FileNotFoundError:
        raise InputError(f"{folder}: is no folder of a job: it has no {JOB}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    check_protocol(content.get("protocol"), path)
    kind, parameters = content.get("kind"), content.get("parameters")
    kinds = KINDS if kinds is None else kinds
    if not isinstance(kind, str) or kind not in kinds:
        raise InputError(f"{path}: is of the unknown kind {kind!r:.60}: known are {', '.join(kinds)}")
    if not isinstance(parameters, dict):
        raise InputError(f"{path}: has no parameters")
    try:
        job: Job = parse_job(kinds[kind], parameters, folder)
    except InputError as error:
        raise error.prefixed(path) from error
    return job


def check_protocol(number: object, subject: object) -> None:
    """Refuse another protocol than this version's (InputError with `ErrorCode.OTHER_PROTOCOL`)."""
    if number != PROTOCOL or isinstance(number, bool):
        raise InputError(
            f"{subject}: speaks protocol {number!r:.20} of jobs, this napari-landmark {PROTOCOL}",
            code=ErrorCode.OTHER_PROTOCOL,
        )
