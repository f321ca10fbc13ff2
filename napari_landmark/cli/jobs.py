"""`napari-landmark jobs`: list, follow, stop and remove the jobs on other machines."""

from __future__ import annotations

from collections.abc import Callable

import typer

from napari_landmark.backend.client import JobStatus
from napari_landmark.backend.job_folder import Phase, inspect_folder
from napari_landmark.backend.job_record import JobRecord, Step, list_records, read_record
from napari_landmark.backend.jobs.detect import DetectJob
from napari_landmark.backend.jobs.train import TrainJob
from napari_landmark.backend.machine import Machine
from napari_landmark.backend.machines import machine_of
from napari_landmark.cli.detect import take_over_detection
from napari_landmark.cli.follow import follow
from napari_landmark.cli.train import take_over_training
from napari_landmark.data.errors import ErrorCode, InputError


def run_list_jobs() -> None:
    """Print the jobs of this user, the oldest first."""
    records = list_records()
    for record in records:
        where = record.host or "this machine"
        typer.echo(f"{record.job_id}  {record.kind} on {where}, {_step(record)}")
    if not records:
        typer.echo("none")


def run_follow(job_id: str) -> None:
    """Follow a job that an earlier command started, and take its results over."""
    record = read_record(job_id)
    if record.step in (Step.MADE, Step.FINISHED):
        raise InputError(
            f"{job_id}: {'was never complete' if record.step is Step.MADE else 'has ended'}; remove it"
        )
    finish: dict[str, Callable[[JobRecord, JobStatus], None]] = {
        TrainJob.KIND: take_over_training,
        DetectJob.KIND: take_over_detection,
    }
    of_viewer = (record.about or {}).get("of_study") is True
    if not record.host or record.kind not in finish or of_viewer:
        raise InputError(f"{job_id}: was started by the viewer, which takes its results over")
    finish[record.kind](record, follow(record))


def run_stop_job(job_id: str, *, kill: bool) -> None:
    """Ask a job for a usable result, or end it at once."""
    record, machine = _started(job_id)
    (machine.kill if kill else machine.stop)(record.job_id, record.folder)


def run_remove_job(job_id: str) -> None:
    """Remove a job that does not run, here and on its machine."""
    record = read_record(job_id)
    if record.step not in (Step.MADE, Step.FINISHED):
        if not record.host and inspect_folder(record.folder).phase is Phase.RUNNING:
            raise InputError(f"{job_id}: is running; stop it first")
        try:
            machine_of(record).remove(record.job_id, record.folder)
        except InputError as error:
            if error.code is not ErrorCode.UNKNOWN_HOST:
                raise
            typer.echo(f"its folder on {record.host} stays: that host is not known any more", err=True)
    record.remove()


def _started(job_id: str) -> tuple[JobRecord, Machine]:
    record = read_record(job_id)
    if record.step is not Step.STARTED:
        raise InputError(f"{job_id}: does not run")
    return record, machine_of(record)


def _step(record: JobRecord) -> str:
    words = {
        Step.MADE: "was never complete",
        Step.READY: "to be sent: jobs follow sends it",
        Step.STARTED: "started: jobs follow shows it",
        Step.FETCHED: "fetched: jobs follow takes it over",
        Step.FINISHED: "ended",
    }
    return words[record.step]
