"""States of a job on a machine that answers now and then."""

from __future__ import annotations

import threading

import pytest

from napari_landmark.backend import client as client_module
from napari_landmark.backend.client import JobClient, JobState
from napari_landmark.backend.job_folder import Done, FolderState, Outcome, Phase, write_done
from napari_landmark.backend.job_record import Step, new_record, read_record
from napari_landmark.backend.machine import UnreachableError
from napari_landmark.backend.progress_file import ProgressWriter
from napari_landmark.data.errors import InputError

from .conftest import wait_until


class Scripted:
    """Machine whose state is set by the test; `silent` makes all its answers fail."""

    def __init__(self):
        self.state, self.silent, self.asked = FolderState(Phase.WAITING), False, []
        self.sending = threading.Event()
        self.sending.set()
        self.outcome = Done(Outcome.DONE, result={"model": "001"})

    def answer(self, what):
        if self.silent:
            raise UnreachableError("lab: cannot be reached")
        self.asked.append(what)

    def start(self, job_id, folder, *, report, aborted):
        self.answer("start")
        report(0.5)
        while not self.sending.wait(0.01):
            aborted()
            self.answer("sending")

    def follow(self, job_id, folder, notify):
        self.answer("follow")
        while not self.silent:
            state = self.state
            if not notify(state) or state.phase in (Phase.ENDED, Phase.DIED):
                return
            threading.Event().wait(0.01)
        self.answer("follow")

    def stop(self, job_id, folder):
        self.answer("stop")

    def kill(self, job_id, folder):
        self.answer("kill")

    def watch(self, job_id, folder, image):
        self.answer(image)

    def fetch(self, job_id, folder, *, aborted):
        self.answer("fetch")
        if self.state.phase is Phase.ENDED:
            write_done(folder, self.outcome)

    def remove(self, job_id, folder):
        self.answer("remove")


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(client_module, "_SECONDS_BETWEEN_ATTEMPTS", (0.01, 0.02))
    return Scripted()


@pytest.fixture
def client(machine):
    made = JobClient(new_record("train", host="lab").at(Step.READY), machine)
    yield made
    made.close()


def reach(client, state):
    wait_until(lambda: client.status.state is state, 20)


def test_every_state_of_a_job_that_ends_well(client, machine):
    machine.sending.clear()
    client.start()
    wait_until(lambda: client.status.sent == 0.5, 20)
    assert client.status.state is JobState.SENDING
    machine.silent = True
    reach(client, JobState.UNREACHABLE)
    assert str(client.status.error) == "lab: cannot be reached"
    machine.silent = False
    reach(client, JobState.SENDING)
    assert client.status.error is None
    machine.sending.set()
    reach(client, JobState.QUEUED)
    machine.state = FolderState(Phase.RUNNING, 1.0)
    reach(client, JobState.RUNNING)
    since = client.status.since
    machine.state = FolderState(Phase.RUNNING, 100.0)
    reach(client, JobState.SILENT)
    assert client.status.since >= since
    machine.silent = True
    reach(client, JobState.UNREACHABLE)
    machine.silent, machine.state = False, FolderState(Phase.RUNNING)
    reach(client, JobState.RUNNING)
    machine.state = FolderState(Phase.ENDED)
    assert client.wait(20).state is JobState.DONE
    assert client.status.done.result == {"model": "001"}
    assert machine.asked.count("fetch") == 1
    assert read_record(client.record.job_id).step is Step.FETCHED


def test_a_stop_is_told_when_the_machine_answers_again(client, machine):
    machine.state = FolderState(Phase.RUNNING)
    client.start()
    reach(client, JobState.RUNNING)
    machine.silent = True
    reach(client, JobState.UNREACHABLE)
    client.stop()
    assert "stop" not in machine.asked
    machine.silent = False
    wait_until(lambda: "stop" in machine.asked, 20)
    reach(client, JobState.STOPPING)
    machine.outcome, machine.state = Done(Outcome.STOPPED), FolderState(Phase.ENDED)
    assert client.wait(20).state is JobState.STOPPED


def test_a_stop_while_sending_sends_nothing_more(client, machine):
    machine.sending.clear()
    client.start()
    wait_until(lambda: "start" in machine.asked, 20)
    client.stop()
    assert client.wait(20).state is JobState.STOPPED
    assert machine.asked[-1] == "remove"
    assert "follow" not in machine.asked


def test_a_queued_job_is_taken_back(client, machine):
    client.start()
    reach(client, JobState.QUEUED)
    client.stop()
    client.stop()
    wait_until(lambda: "kill" in machine.asked, 20)
    machine.state = FolderState(Phase.DIED)
    assert client.wait(20).state is JobState.KILLED


def test_a_dead_worker_is_told_with_its_last_words(client, machine):
    (client.record.folder / "worker.log").write_text("Bus error\n")
    machine.state = FolderState(Phase.DIED)
    client.start()
    assert client.wait(20).state is JobState.DIED
    assert "on lab ended without a word" in str(client.status.error)
    assert "Bus error" in str(client.status.error)


def test_an_error_of_the_worker_keeps_its_message(client, machine):
    machine.outcome = Done(Outcome.FAILED, InputError("images: holds no images"))
    machine.state = FolderState(Phase.ENDED)
    client.start()
    assert client.wait(20).state is JobState.FAILED
    assert str(client.status.error) == "images: holds no images"


def test_a_refusal_while_sending_is_the_end(client, machine, monkeypatch):
    def refuse(*arguments, **options):
        raise InputError("lab: 3.0 GB are to be sent, 1.0 GB are free")

    monkeypatch.setattr(machine, "start", refuse)
    client.start()
    assert client.wait(20).state is JobState.FAILED
    assert "1.0 GB are free" in str(client.status.error)


def test_a_host_that_is_broken_for_a_while_ends_no_job(client, machine, monkeypatch):
    machine.state = FolderState(Phase.RUNNING)
    client.start()
    reach(client, JobState.RUNNING)
    with monkeypatch.context() as patch:

        def broken(*arguments):
            raise InputError("lab: has no napari-landmark (not found)")

        patch.setattr(machine, "follow", broken)
        machine.silent = True
        reach(client, JobState.UNREACHABLE)
        machine.silent = False
        wait_until(lambda: "has no napari-landmark" in str(client.status.error), 20)
    reach(client, JobState.RUNNING)
    machine.state = FolderState(Phase.ENDED)
    assert client.wait(20).state is JobState.DONE


def test_a_hostile_progress_file_ends_nothing(client, machine):
    writer = ProgressWriter(client.record.folder / "progress.jsonl")
    (client.record.folder / "progress.jsonl").write_bytes(b"[" * 100_000 + b"\n")
    writer.started(1, "0.1", "lab")
    machine.state = FolderState(Phase.RUNNING)
    client.start()
    reach(client, JobState.RUNNING)
    assert client.status.worker is not None
    assert "line 1: is not what a worker writes" in str(client.fault)


def test_closing_does_not_wait_for_a_machine_that_is_silent(client, machine):
    machine.silent = True
    client.start()
    reach(client, JobState.UNREACHABLE)
    client.close(5)
    assert not client.is_following
    JobClient(client.record, machine).close()  # its lock is free
