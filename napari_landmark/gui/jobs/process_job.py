"""Long work in a worker process: followed by a timer, found again by the next viewer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_landmark.backend.client import JobClient, JobState, JobStatus
from napari_landmark.backend.host_jobs import ALL_KINDS, tidy_up
from napari_landmark.backend.job_file import write_job
from napari_landmark.backend.job_folder import WORKER_LOG
from napari_landmark.backend.job_record import JobRecord, Step, new_record, read_record
from napari_landmark.backend.jobs.job import Job as Description
from napari_landmark.backend.machines import machine_of, this_machine
from napari_landmark.backend.progress_file import (
    DeviceChosen,
    Entry,
    HostState,
    LogLine,
    PreviewLandmarks,
)
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.gui.jobs.job import MEMORY_ADVICE, explain
from napari_landmark.gui.next_turn import in_next_turn
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.progress import ProgressEvent

logger = logging.getLogger(__name__)

_MILLISECONDS_BETWEEN_LOOKS = 100
# Of work that goes on for longer. Each look ends in a drawing, and without a graphics card the smallest drawing in a
# window with a canvas takes its thread some milliseconds.
_MILLISECONDS_LATER, _LATER_SECONDS = 1000, 5.0
_SECONDS_UNTIL_KILL = 3.0
_MOST_EVENTS_AT_ONCE = 100
_SECONDS_TO_STOP = 10.0
_LEFT_OUT = "left out: "  # files that the viewer named when it opened the study


class ProcessJob(QObject):
    """Long work in a worker process, which goes on when the viewer closes.

    It has the signals of a `Job` of a thread. Nothing here waits for the worker: a timer reads what it has written.

    Parameters
    ----------
    kind : JobKind
    make : callable
        Called with the private folder of the job, in a thread; returns the description of the work, and may write
        files for it there.
    finish : callable
        Called with the result of the worker, in a thread; returns what `succeeded` is emitted with. The result is
        empty where the work was stopped before there was any.
    about : mapping, optional
        Plain values by which another viewer finds the job: `study` is the study's folder.
    record : JobRecord, optional
        A job that an earlier viewer started, instead of a new one.
    host : str, optional
        Name of the host that does the work; empty for this computer.
    watched : callable, optional
        Name of the image that previews are wanted for.
    after : callable, optional
        Called in a thread however the work ended, before any signal of its end.
    outlives_viewer : bool, optional
        Whether the work goes on when the viewer closes.
    memory_advice : str, optional
        Remedy for the user where memory does not suffice.
    """

    progressed = Signal(object)
    """A `ProgressEvent`; states of the job that are no progress are told as one, too."""
    shown = Signal(object)
    """A `PreviewLandmarks` or a `DeviceChosen`."""
    told = Signal(str)
    """A line of text from the worker."""
    succeeded = Signal(object)
    """What `finish` returned."""
    failed = Signal(str)
    """The message of the error, to be shown as it is."""
    cancelling = Signal()
    """The work was asked to stop, or can be ended at once now."""
    ended = Signal()
    """The work ended, successfully or not; emitted before `succeeded` or `failed`."""

    def __init__(
        self,
        kind: JobKind,
        make: Callable[[Path], Description],
        *,
        finish: Callable[[dict[str, Any]], Any],
        about: dict[str, Any] | None = None,
        record: JobRecord | None = None,
        host: str = "",
        watched: Callable[[], str] | None = None,
        after: Callable[[], None] | None = None,
        outlives_viewer: bool = True,
        memory_advice: str = MEMORY_ADVICE,
    ) -> None:
        super().__init__()
        self.kind, self.host = kind, host
        self.last_event: ProgressEvent | None = None
        self._make, self._finish, self._after = make, finish, after
        self._about, self._record = about or {}, record
        self._watched, self._asked = watched, ""
        self._outlives_viewer, self._memory_advice = outlives_viewer, memory_advice
        self._machine = this_machine(ALL_KINDS)
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="landmark job")
        self._client: JobClient | None = None
        self._preparing: Future[JobClient] | None = None
        self._finishing: Future[Any] | None = None
        self._status: JobStatus | None = None
        self._state: tuple[str, str] = ("", "")
        self._host_state: HostState | None = None
        self._device = ""
        self._stops, self._stopped_at = 0, 0.0
        self._started_at = 0.0
        self._over = False
        self._timer = QTimer(self)
        self._timer.setInterval(_MILLISECONDS_BETWEEN_LOOKS)
        self._timer.timeout.connect(self._look)

    @property
    def title(self) -> str:
        """Name of the work for the user."""
        return self.kind.value

    @property
    def place(self) -> str:
        """Host and device that compute; empty for this computer."""
        return f"{self.host}, {self._device}" if self.host and self._device else self.host

    @property
    def cancelled(self) -> bool:
        """Whether the work was asked to stop."""
        return self._stops > 0

    @property
    def can_cancel(self) -> bool:
        """Whether asking to stop has an effect now: once, and a while later once more, to end the work at once."""
        if self._stops == 0:
            return True
        late = time.monotonic() - self._stopped_at > _SECONDS_UNTIL_KILL
        return self._stops == 1 and late and self._machine.outlives_client

    @property
    def cancel_text(self) -> str:
        """Text of the button that asks to stop."""
        if self._stops == 0:
            return "Cancel"
        if self._stops > 1:
            return "Ending…"
        return "End at once" if self.can_cancel else "Cancelling…"

    def start(self) -> None:
        """Begin, or follow the job of an earlier viewer."""
        self._preparing = self._threads.submit(self._prepare)
        self._timer.start()
        self._started_at = time.monotonic()
        self._tell(ProgressEvent("starting" if self._record is None else "reading what was done", 0.0))

    def cancel(self) -> None:
        """Ask the worker for a usable result; asked a second time, end it at once."""
        self._stops += 1
        self._timer.setInterval(_MILLISECONDS_BETWEEN_LOOKS)  # the user waits
        self._stopped_at = time.monotonic()
        if self._client is not None:
            self._request_stop(self._client)
        self.cancelling.emit()
        if self._stops == 1:
            in_next_turn(self, self._offer_kill, milliseconds=round(1000 * _SECONDS_UNTIL_KILL) + 50)

    def leave(self) -> None:
        """End following since the viewer closes; the work goes on, unless it is of this viewer alone."""
        self._timer.stop()
        self._over = True
        client = self._client
        if client is None:
            # A job that is being prepared stays ready, and begins when the study is opened again.
            self._threads.shutdown(wait=False)
            if self._preparing is not None:
                self._preparing.add_done_callback(_give_up)
            return
        if not (self._outlives_viewer and self._machine.outlives_client):
            self._stops = 2 if self._machine.outlives_client else 1
            for _ in range(self._stops):
                client.stop()
            client.wait(_SECONDS_TO_STOP)
            client.close()
            client.record.remove()
        else:
            client.close()
        self._threads.shutdown(wait=False)

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is left to do for this viewer; returns whether that is so."""
        end = time.monotonic() + seconds
        while not self._over and time.monotonic() < end:
            time.sleep(0.02)
            self._look()
        return self._over

    # -- in a thread ----------------------------------------------------------------------------------

    def _prepare(self) -> JobClient:
        record = self._record
        if record is None:
            # The kind is known with the description, which is made in the folder of the record.
            record = new_record("", about=self._about)
            try:
                description = self._make(record.folder)
                write_job(record.folder, description)
                record = record.of_kind(description.KIND).at(Step.READY)
            except BaseException:
                record.remove()
                raise
        return JobClient(record, self._machine)

    def _conclude(self, client: JobClient, status: JobStatus) -> Any:
        """What the work succeeds with; raises what it fails with."""
        try:
            client.close()
            if status.state in (JobState.DONE, JobState.STOPPED):
                try:
                    value = self._finish({} if status.done is None else status.done.result)
                except BaseException:
                    client.record.at(Step.FINISHED)  # kept, but no other viewer tries the same again
                    raise
                client.record.remove()
                return value
            # On a host the worker was killed from here, which its follower takes for a death.
            if status.state is JobState.KILLED or self._stops > 1:
                client.record.remove()
                self._forget_on_host()
                raise InputError(f"{self.title} was ended at once.")
            raise self._explained(client, status)
        finally:
            if self._after is not None:
                self._after()

    def _explained(self, client: JobClient, status: JobStatus) -> InputError:
        """The error of a failed job; the folder of one that died without a word is kept for its log."""
        error = status.error or InputError(f"{self.title} failed")
        log = client.record.folder / WORKER_LOG
        if error.code is ErrorCode.OUT_OF_MEMORY:
            error = InputError(f"Out of memory. {self._memory_advice}")
        elif status.state is JobState.DIED:
            client.record.at(Step.FINISHED)
            remedy = f"start it again: {_REMEDY[self.kind]}"
            if self._goes_on_there():
                remedy = f"the job goes on on {self.host}: open the study again to follow it"
            return InputError(f"{error}. What it printed is in {log}; {remedy}.")
        elif str(error).startswith("unexpected error"):
            client.record.at(Step.FINISHED)
            return InputError(f"{error}. This should not happen: please report it with {log}")
        client.record.remove()
        return error

    def _forget_on_host(self) -> None:
        """Remove a job that was ended at once there and here."""
        if self._host_state is not None:
            try:
                tidy_up(read_record(self._host_state.job_id))
            except InputError as error:
                logger.warning("%s", error)

    def _goes_on_there(self) -> bool:
        known = self._host_state
        return known is not None and not JobState(known.state).is_final

    def _kill_on_host(self, known: HostState) -> None:
        try:
            record = read_record(known.job_id)
            machine_of(record).kill(record.job_id, record.folder)
        except InputError as error:
            logger.warning("%s", error)

    # -- by the timer ---------------------------------------------------------------------------------

    def _look(self) -> None:
        """Take what is new."""
        if self._over:
            return
        if self._finishing is not None:
            if self._finishing.done():
                self._end(self._finishing)
            return
        if self._client is None:
            if self._preparing is None or not self._preparing.done():
                return
            if self._preparing.exception() is not None:
                self._end(self._preparing)
                return
            self._client = self._preparing.result()
            self._client.start()
            for _ in range(self._stops):
                self._client.stop()
        if not self._stops and time.monotonic() - self._started_at > _LATER_SECONDS:
            self._timer.setInterval(_MILLISECONDS_LATER)
        client = self._client
        self._status = status = client.status
        self._take(client.take_entries())
        self._show_state(status)
        self._ask_for_previews(client)
        if status.state.is_final:
            self._timer.setInterval(_MILLISECONDS_BETWEEN_LOOKS)
            self._take(client.take_entries())
            self._finishing = self._threads.submit(self._conclude, client, status)

    def _take(self, entries: list[Entry]) -> None:
        events = [entry.content for entry in entries if isinstance(entry.content, ProgressEvent)]
        preview: PreviewLandmarks | None = None
        for content in (entry.content for entry in entries):
            if isinstance(content, PreviewLandmarks):
                preview = content
            elif isinstance(content, DeviceChosen):
                self._device = content.device
                self.shown.emit(content)
            elif isinstance(content, HostState):
                self._host_state = content
            elif isinstance(content, LogLine) and not content.text.startswith(_LEFT_OUT):
                self.told.emit(content.text)
        for event in _thinned(events):
            self._tell(event)
        if preview is not None:
            self.shown.emit(preview)

    def _tell(self, event: ProgressEvent) -> None:
        self.last_event = event
        self.progressed.emit(event)

    def _show_state(self, status: JobStatus) -> None:
        """Tell a state that is no progress, once."""
        told = self._host_state
        text = _text_here(status.state) if told is None else _text_there(told)
        state = (text, str(told.sent) if told is not None else "")
        if state != self._state:
            self._state = state
            if text:
                fraction = 0.0 if self.last_event is None else self.last_event.fraction
                sending = told is not None and told.state == JobState.SENDING
                self._tell(ProgressEvent(text, told.sent if told is not None and sending else fraction))

    def _ask_for_previews(self, client: JobClient) -> None:
        image = "" if self._watched is None else self._watched()
        if image and image != self._asked and self._status is not None and self._status.worker is not None:
            self._asked = image
            client.watch(image)

    def _request_stop(self, client: JobClient) -> None:
        known = self._host_state
        if self._stops > 1 and known is not None and self._goes_on_there():
            # The worker here only follows: it ends when the one on the host has ended.
            self._threads.submit(self._kill_on_host, known)
        else:
            client.stop()

    def _offer_kill(self) -> None:
        if not self._over and self._stops == 1:
            self.cancelling.emit()

    def _end(self, outcome: Future[Any]) -> None:
        self._over = True
        self._timer.stop()
        self._threads.shutdown(wait=False)
        error = outcome.exception()
        if error is not None and not isinstance(error, InputError):
            logger.error("%s failed", self.title, exc_info=error)
        # `ended` first, so that a slot of `succeeded` can start the next job.
        self.ended.emit()
        if error is None:
            self.succeeded.emit(outcome.result())
        else:
            self.failed.emit(explain(error, self._memory_advice))


_REMEDY = {
    JobKind.TRAIN: "press Resume, or Train",
    JobKind.DETECT: "press Detect in all",
    JobKind.SUGGEST: "press Suggest image",
    JobKind.REGISTER: "press Register",
    JobKind.REGISTER_STUDY: "press Register all images of the study, with the same folder",
    JobKind.LABEL_STUDY: "press Label all images of the study, with the same folders",
    JobKind.TRAIN_REGISTRATION: "press Resume, or Train on the study",
}


def _give_up(prepared: Future[JobClient]) -> None:
    """Let others follow a job whose client was never started."""
    if prepared.exception() is None:
        prepared.result().close()


def _thinned(events: list[ProgressEvent]) -> list[ProgressEvent]:
    """Some of many events, the last of each stage among them: a job of an earlier viewer has thousands."""
    if len(events) <= _MOST_EVENTS_AT_ONCE:
        return events
    step = len(events) // _MOST_EVENTS_AT_ONCE + 1
    return [
        event
        for number, event in enumerate(events)
        if number % step == 0 or number + 1 == len(events) or events[number + 1].stage != event.stage
    ]


def _text_here(state: JobState) -> str:
    """State of a worker of this computer where it is no progress; empty otherwise."""
    if state is JobState.SILENT:
        return "nothing was heard of the worker for a minute; waiting"
    return "starting" if state is JobState.QUEUED else ""


def _text_there(told: HostState) -> str:
    """State of a job on a host where it is no progress; empty otherwise."""
    since = time.strftime("%H:%M", time.localtime(told.since))
    reason = f" ({told.reason})" if told.reason else ""
    texts = {
        JobState.SENDING: f"sending to {told.host}",
        JobState.QUEUED: f"queued on {told.host} since {since}",
        JobState.SILENT: f"nothing was heard of {told.host} since {since}; waiting",
        JobState.UNREACHABLE: f"not reachable since {since}, the job on {told.host} goes on{reason}",
        JobState.FETCHING: f"fetching from {told.host}",
        JobState.DONE: f"taking the results of {told.host} over",
        JobState.STOPPED: f"taking the results of {told.host} over",
    }
    return texts.get(JobState(told.state), "") if told.state in set(JobState) else ""
