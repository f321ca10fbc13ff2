"""Long work reports progress, can be cancelled, and gives its error as one line."""

from __future__ import annotations

import time

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.gui.jobs.job import Job, explain, time_left
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.session import Session
from napari_landmark.progress import ProgressEvent


@pytest.fixture
def session():
    return Session()


def count_to(number, seconds=0.01):
    def work(progress, cancel):
        for n in range(number):
            if cancel.cancelled:
                return n
            progress(ProgressEvent("counting", n / number))
            time.sleep(seconds)
        return number

    return work


def test_it_reports_and_ends(session, qtbot):
    job = Job(JobKind.DETECT, count_to(5))
    events = []
    job.progressed.connect(events.append)
    with qtbot.waitSignal(job.succeeded, timeout=5000) as result:
        session.run(job)
        assert session.job is job
    assert result.args == [5]
    assert {event.stage for event in events} == {"counting"}
    assert job.last_event == events[-1]
    assert session.job is None


def test_progress_of_many_images_does_not_flood_the_main_thread(session, qtbot):
    def work(progress, cancel):
        for stage in ("reading", "writing"):
            for n in range(10_001):
                progress(ProgressEvent(stage, n / 10_000, step=n))

    job, events = Job(JobKind.DETECT, work), []
    job.progressed.connect(events.append)
    with qtbot.waitSignal(job.succeeded, timeout=10_000):
        session.run(job)
    assert len(events) < 100
    for stage in ("reading", "writing"):
        steps = [event.step for event in events if event.stage == stage]
        assert steps[0] == 0
        assert steps[-1] == 10_000


def test_it_stops_when_asked_to(session, qtbot):
    job = Job(JobKind.DETECT, count_to(1000))
    with qtbot.waitSignal(job.progressed, timeout=5000):
        session.run(job)
    with qtbot.waitSignals([job.cancelling, job.succeeded], timeout=5000):
        job.cancel()
    assert job.cancelled
    assert session.job is None


def test_one_at_a_time(session, qtbot):
    job = Job(JobKind.DETECT, count_to(1000))
    session.run(job)
    with pytest.raises(InputError, match="Detecting is still running"):
        session.run(Job(JobKind.TRAIN, count_to(1)))
    with qtbot.waitSignal(job.ended, timeout=5000):
        job.cancel()


def test_a_failure_is_told_in_one_line(session, qtbot, caplog):
    def work(progress, cancel):
        raise ValueError("five is right out")

    job = Job(JobKind.DETECT, work)
    with qtbot.waitSignal(job.failed, timeout=5000) as reason:
        session.run(job)
    assert "five is right out" in reason.args[0]
    assert "\n" not in reason.args[0]
    assert "Detecting failed" in caplog.text  # with the traceback, for a report
    assert session.job is None


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (InputError("a.png: is broken"), "a.png: is broken"),
        (MemoryError(), "Working resolution"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "Working resolution"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "Working resolution"),
        (OSError(28, "No space left on device", "/data/x"), "/data/x: No space left on device"),
    ],
)
def test_the_message_has_a_remedy(error, remedy):
    assert remedy in explain(error)


def test_torch_that_windows_does_not_load_after_qt():
    message = "[WinError 1114] Initialization failed. Error loading torch\\lib\\c10.dll or a dependency"
    error = OSError(message)
    error.winerror = 1114
    assert "import torch, napari" in explain(error)
    error.winerror = 5  # refused: another remedy
    assert "import torch" not in explain(error)


def test_time_left():
    assert time_left(ProgressEvent("a", 0.5, 130)) == "2 min 10 s left"
    assert time_left(ProgressEvent("a", 0.5, 8)) == "8 s left"
    assert time_left(ProgressEvent("a", 1.0, 0)) == ""
    assert time_left(ProgressEvent("a", 0.5)) == ""
