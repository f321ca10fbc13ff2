"""Client of one job: starts it, follows it, stops it and fetches its results, in a thread of its own.

For a terminal and for a viewer, whose timer asks for the `status`: nothing here blocks but `wait`, which has a timeout.
The job goes on when its client ends, and another client takes it up with the same record.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from filelock import BaseFileLock

from napari_landmark.backend.job_folder import (
    DONE,
    KILL,
    SECONDS_OF_SILENCE,
    Done,
    FolderState,
    Outcome,
    Phase,
    last_log_line,
    read_done,
)
from napari_landmark.backend.job_record import JobRecord, Step
from napari_landmark.backend.machine import Machine, Notify, UnreachableError
from napari_landmark.backend.progress_file import PROGRESS, Alive, Entry, ProgressReader, Started
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.file_lock import LockHeldError, acquire_lock
from napari_landmark.progress import ProgressEvent

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_ATTEMPTS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_MOST_ENTRIES = 10_000

Result = TypeVar("Result")


class JobState(StrEnum):
    """State of a job for its user."""

    SENDING = "sending"
    QUEUED = "queued"
    """Sent; no worker has begun."""
    RUNNING = "running"
    SILENT = "silent"
    """Running, as far as is known, but nothing was heard of the worker for long."""
    UNREACHABLE = "unreachable"
    """The machine does not answer; the job goes on there."""
    STOPPING = "stopping"
    FETCHING = "fetching"
    DONE = "done"
    STOPPED = "stopped"
    """Ended on request, with what there was by then."""
    FAILED = "failed"
    KILLED = "killed"
    DIED = "died"
    """The worker ended without a word: killed by the system, crashed, or its machine was switched off."""

    @property
    def is_final(self) -> bool:
        """Whether it does not change any more."""
        return self in _FINAL


_FINAL = (JobState.DONE, JobState.STOPPED, JobState.FAILED, JobState.KILLED, JobState.DIED)
_OF_OUTCOME = {
    Outcome.DONE: JobState.DONE,
    Outcome.STOPPED: JobState.STOPPED,
    Outcome.FAILED: JobState.FAILED,
    Outcome.KILLED: JobState.KILLED,
}


@dataclass(frozen=True)
class JobStatus:
    """State of a job, as known now.

    Parameters
    ----------
    state : JobState
    since : float
        Seconds since 1970 at which this state began.
    sent : float
        Part that was sent, 0..1.
    event : ProgressEvent or None
        Last progress of the worker.
    worker : Started or None
        Facts about the worker, once it has begun.
    error : InputError or None
        Reason of FAILED and DIED; of UNREACHABLE, the last answer of the connection.
    done : Done or None
        Outcome and result.
    """

    state: JobState
    since: float
    sent: float = 0.0
    event: ProgressEvent | None = None
    worker: Started | None = None
    error: InputError | None = None
    done: Done | None = None


class JobClient:
    """Client of one job.

    Parameters
    ----------
    record : JobRecord
        With its step at READY or later.
    machine : Machine
        That runs it.

    Raises
    ------
    InputError
        Another program follows this job.
    """

    def __init__(self, record: JobRecord, machine: Machine) -> None:
        self.record = record
        self._machine = machine
        self._lock = _acquired(record)
        self._reader = ProgressReader(record.folder / PROGRESS)
        self._entries: deque[Entry] = deque(maxlen=_MOST_ENTRIES)
        self._guard = threading.RLock()
        self._closed, self._finished = threading.Event(), threading.Event()
        self._stops = 0
        first = JobState.SENDING if record.step is Step.READY else JobState.QUEUED
        self._status = JobStatus(first, time.time())
        self._thread = threading.Thread(target=self._run, name="job client", daemon=True)

    @property
    def status(self) -> JobStatus:
        """State of the job as known now."""
        return self._status

    @property
    def is_following(self) -> bool:
        """Whether the job is being sent, followed or fetched by this client."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to send, start and follow the job, or take it up where another client left it."""
        self._thread.start()

    def take_entries(self) -> list[Entry]:
        """Log lines, previews and progress since the last call, the oldest first."""
        with self._guard:
            taken = list(self._entries)
            self._entries.clear()
        return taken

    def stop(self) -> None:
        """Ask the worker for a usable result; asked a second time, end it at once."""
        with self._guard:
            self._stops += 1
            if self._status.state.is_final:
                return
            if self._status.state is not JobState.SENDING:
                self._set(JobState.STOPPING)
        threading.Thread(
            target=self._request, args=(self._stops > 1,), name="job request", daemon=True
        ).start()

    def watch(self, image: str) -> None:
        """Ask for previews of an image."""
        action = self._machine.watch
        threading.Thread(
            target=self._quietly,
            args=(lambda: action(self.record.job_id, self.record.folder, image),),
            name="job request",
            daemon=True,
        ).start()

    def wait(self, seconds: float) -> JobStatus:
        """Wait until the job has ended, at most for some seconds; returns the status."""
        self._finished.wait(seconds)
        return self._status

    def close(self, seconds: float = 5.0) -> None:
        """End following, and wait at most for some seconds for that; the job goes on."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(seconds)
        if not self._thread.is_alive():
            self._lock.release()

    def _run(self) -> None:
        try:
            self._work()
        except _ClosedError:
            pass
        except InputError as error:
            self._set(JobState.FAILED, error=error)
        except Exception as error:  # told to the user, as any failure of the work itself
            logger.exception("job %s", self.record.job_id)
            self._set(JobState.FAILED, error=InputError(f"unexpected error: {type(error).__name__}: {error}"))
        finally:
            if self._status.state.is_final:
                self._finished.set()

    def _work(self) -> None:
        record, machine = self.record, self._machine
        if record.step is Step.READY:
            try:
                self._persist(
                    lambda: machine.start(
                        record.job_id, record.folder, report=self._report_sent, aborted=self._aborts_sending
                    )
                )
            except _AbortedError:
                self._quietly(lambda: machine.remove(record.job_id, record.folder))
                self._set(JobState.STOPPED, done=Done(Outcome.STOPPED))
                return
            self.record = record = record.at(Step.STARTED)
            self._set(JobState.STOPPING if self._stops else JobState.QUEUED)
        if record.step is Step.STARTED:
            state = self._follow()
            if state.phase is Phase.DIED:
                self._fetch_log()
                self._died()
                return
            self._set(JobState.FETCHING)
            self._persist(lambda: machine.fetch(record.job_id, record.folder, aborted=self._closed.is_set))
            self.record = record = record.at(Step.FETCHED)
        self._read()
        done = read_done(record.folder)
        if done is None:
            raise InputError(f"{record.folder / DONE}: is gone")
        self._set(_OF_OUTCOME[done.outcome], error=done.error, done=done)

    def _follow(self) -> FolderState:
        """Follow the job until it ends."""
        last = FolderState(Phase.WAITING)

        def notify(state: FolderState) -> bool:
            nonlocal last
            last = state
            self._read()
            self._show(state)
            return not self._closed.is_set()

        while last.phase not in (Phase.ENDED, Phase.DIED):
            self._persist(self._follow_once(notify))
            if self._closed.is_set():
                raise _ClosedError
        return last

    def _follow_once(self, notify: Notify) -> Callable[[], None]:
        """Follow until the machine says no more. The job goes on whatever is wrong there: any error may pass."""

        def follow() -> None:
            try:
                self._machine.follow(self.record.job_id, self.record.folder, notify)
            except UnreachableError:
                raise
            except InputError as error:
                raise UnreachableError(str(error), code=error.code, **error.parameters) from error

        return follow

    def _show(self, state: FolderState) -> None:
        if state.phase is Phase.WAITING:
            self._set(JobState.STOPPING if self._stops else JobState.QUEUED)
        elif state.phase is Phase.RUNNING:
            silent = state.silent_seconds > SECONDS_OF_SILENCE
            running = JobState.STOPPING if self._stops else JobState.RUNNING
            self._set(JobState.SILENT if silent else running)

    def _died(self) -> None:
        killed = self._stops > 1 or (self.record.folder / KILL).exists()
        if killed:
            self._set(JobState.KILLED, done=Done(Outcome.KILLED))
            return
        line = last_log_line(self.record.folder)
        reason = f" (its last words: {line})" if line else ""
        where = self.record.host or "this machine"
        self._set(
            JobState.DIED,
            error=InputError(f"the worker on {where} ended without a word: killed, or crashed{reason}"),
        )

    def _fetch_log(self) -> None:
        self._quietly(
            lambda: self._machine.fetch(self.record.job_id, self.record.folder, aborted=self._closed.is_set)
        )

    def _persist(self, action: Callable[[], Result]) -> Result:
        """Do something on the machine, again and again while it does not answer."""
        attempt = 0
        while True:
            if self._closed.is_set():
                raise _ClosedError
            before = self._status.state
            try:
                return action()
            except UnreachableError as error:
                heard = self._status.state is not JobState.UNREACHABLE and before is JobState.UNREACHABLE
                attempt = 0 if heard else attempt
                self._set(JobState.UNREACHABLE, error=error)
            self._aborts_sending()
            delay = _SECONDS_BETWEEN_ATTEMPTS[min(attempt, len(_SECONDS_BETWEEN_ATTEMPTS) - 1)]
            attempt += 1
            self._closed.wait(delay)

    def _aborts_sending(self) -> bool:
        """Raise where the client was closed, or stopped before the job was sent; False otherwise."""
        if self._closed.is_set():
            raise _ClosedError
        if self._stops and self.record.step is Step.READY:
            raise _AbortedError
        return False

    def _request(self, kill: bool) -> None:
        """Tell the machine to stop or to kill, until it hears it or the job has ended."""
        action = self._machine.kill if kill else self._machine.stop
        attempt = 0
        while not self._closed.is_set() and not self._status.state.is_final:
            if self.record.step is not Step.READY:
                try:
                    action(self.record.job_id, self.record.folder)
                    return
                except UnreachableError:
                    pass
                except InputError as error:
                    logger.warning("job %s: %s", self.record.job_id, error)
                    return
            delay = _SECONDS_BETWEEN_ATTEMPTS[min(attempt, len(_SECONDS_BETWEEN_ATTEMPTS) - 1)]
            attempt += 1
            self._closed.wait(delay)

    def _quietly(self, action: Callable[[], None]) -> None:
        try:
            action()
        except InputError as error:
            logger.info("job %s: %s", self.record.job_id, error)

    def _report_sent(self, part: float) -> None:
        self._set(JobState.SENDING)
        with self._guard:
            self._status = replace(self._status, sent=part)

    def _read(self) -> None:
        """Take the new entries of the progress file."""
        before = -1
        while before != self._reader.offset:
            before, entries = self._reader.offset, self._reader.read()
            with self._guard:
                for entry in entries:
                    content = entry.content
                    if isinstance(content, ProgressEvent):
                        self._status = replace(self._status, event=content)
                    elif isinstance(content, Started):
                        self._status = replace(self._status, worker=content)
                    if not isinstance(content, Alive):
                        self._entries.append(entry)

    def _set(self, state: JobState, *, error: InputError | None = None, done: Done | None = None) -> None:
        with self._guard:
            since = self._status.since if state is self._status.state else time.time()
            if error is None and state is JobState.UNREACHABLE:
                error = self._status.error
            self._status = replace(
                self._status, state=state, since=since, error=error, done=done or self._status.done
            )

    @property
    def fault(self) -> InputError | None:
        """The first line of the progress file that no worker writes, if there was one."""
        return self._reader.fault


class _ClosedError(Exception):
    """The client was closed meanwhile."""


class _AbortedError(Exception):
    """The job was stopped before it was sent."""


def _acquired(record: JobRecord) -> BaseFileLock:
    try:
        return acquire_lock(record.lock)
    except LockHeldError:
        raise InputError(f"{record.job_id}: another program follows this job") from None
    except OSError as error:
        raise InputError(f"{record.lock}: cannot be written ({error.strerror or error})") from error
