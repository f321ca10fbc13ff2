"""Jobs on other machines in a terminal: follow one to its end, and take its results over."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import typer

from napari_landmark.backend.client import JobClient, JobState, JobStatus
from napari_landmark.backend.job_folder import WORKER_LOG
from napari_landmark.backend.job_record import JobRecord, Step, read_record
from napari_landmark.backend.machines import machine_of
from napari_landmark.backend.progress_file import LogLine
from napari_landmark.cli.terminal_progress import cancel_on_interrupt, terminal_progress
from napari_landmark.cli.wording import word
from napari_landmark.data.errors import InputError
from napari_landmark.progress import ProgressEvent

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_KILL = 60.0

STATE_WORDS = {
    JobState.SENDING: "sending",
    JobState.QUEUED: "queued",
    JobState.RUNNING: "running",
    JobState.SILENT: "running, but nothing was heard of it for a minute",
    JobState.UNREACHABLE: "not reachable; the job goes on there",
    JobState.STOPPING: "stopping",
    JobState.FETCHING: "fetching the results",
    JobState.DONE: "done",
    JobState.STOPPED: "stopped",
    JobState.FAILED: "failed",
    JobState.KILLED: "killed",
    JobState.DIED: "died",
}


def follow(record: JobRecord) -> JobStatus:
    """Follow a job to its end. Ctrl-C asks it to stop, once more ends it at once.

    Raises
    ------
    InputError
        Another program follows it, or its host is unknown.
    """
    client = JobClient(record, machine_of(record))
    typer.echo(f"job {record.job_id} on {record.host or 'this machine'}", err=True)
    client.start()
    try:
        with terminal_progress() as progress, cancel_on_interrupt() as cancel:
            shown = _Shown(progress)
            try:
                while not (status := client.wait(_SECONDS_BETWEEN_LOOKS)).state.is_final:
                    shown.show(client, status)
                    if cancel.cancelled and not shown.stopped:
                        shown.stopped = True
                        client.stop()
            except KeyboardInterrupt:
                client.stop()
                client.stop()
                status = client.wait(_SECONDS_TO_KILL)
            shown.show(client, status)
        return status
    finally:
        client.close()


def require_result(record: JobRecord, status: JobStatus) -> None:
    """Go on where a job has a result; else tell why it has none, and end the command."""
    if status.state is JobState.STOPPED and not (status.done and status.done.result):
        tidy_up(record)
        typer.echo("stopped before there was a result", err=True)
        raise typer.Exit(130)
    if status.state in (JobState.DONE, JobState.STOPPED):
        return
    if not status.state.is_final:
        typer.echo(f"{record.job_id} goes on: napari-landmark jobs follow {record.job_id}", err=True)
        raise typer.Exit(130)
    if (
        status.state is JobState.FAILED
        and status.done is None
        and read_record(record.job_id).step is Step.STARTED
    ):
        typer.echo(f"the job is kept: napari-landmark jobs follow {record.job_id} tries again", err=True)
    else:
        tidy_up(record, keep=status.state is JobState.DIED)
    if status.state is JobState.KILLED:
        typer.echo("stopped at once: there is no result", err=True)
        raise typer.Exit(130)
    if status.state is JobState.DIED:
        typer.echo(f"what it printed: {record.folder / WORKER_LOG}", err=True)
    raise status.error or InputError(f"{record.job_id}: failed")


def tidy_up(record: JobRecord, *, keep: bool = False) -> None:
    """Remove the job's folder there, and here unless it shall be kept."""
    with contextlib.suppress(InputError):
        machine_of(record).remove(record.job_id, record.folder)
    if keep:
        record.at(Step.FINISHED)
    else:
        record.remove()


class _Shown:
    """What was shown of a job."""

    def __init__(self, progress: Callable[[ProgressEvent], None]) -> None:
        self._progress = progress
        self._state: JobState | None = None
        self._event: ProgressEvent | None = None
        self._fault = False
        self.stopped = False

    def show(self, client: JobClient, status: JobStatus) -> None:
        """Show what is new."""
        if status.state is not self._state:
            self._state = status.state
            since = time.strftime("%H:%M:%S", time.localtime(status.since))
            reason = f": {status.error}" if status.state is JobState.UNREACHABLE and status.error else ""
            typer.echo(f"{STATE_WORDS[status.state]} (since {since}){reason}", err=True)
        if status.state is JobState.SENDING and status.sent:
            self._progress(ProgressEvent("sending", status.sent))
        if status.event is not None and status.event is not self._event:
            self._event = status.event
            self._progress(status.event)
        for entry in client.take_entries():
            if isinstance(entry.content, LogLine):
                typer.echo(entry.content.text, err=True)
        if client.fault is not None and not self._fault:
            self._fault = True
            typer.echo(f"warning: {word(client.fault)}", err=True)


def study_of(record: JobRecord) -> Path:
    """Folder of the study of a job; InputError where the record lacks it."""
    folder = (record.about or {}).get("study")
    if not isinstance(folder, str):
        raise InputError(f"{record.job_id}: does not say which study it is of; remove it")
    return Path(folder)
