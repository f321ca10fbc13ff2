"""Work in real worker processes: it outlives the viewer, is found again, and every end of it is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from napari.components import ViewerModel

import napari_landmark
from napari_landmark.backend import machines
from napari_landmark.backend.client import JobState
from napari_landmark.backend.host_jobs import ALL_KINDS, TrainOnHostJob
from napari_landmark.backend.job_file import read_job, write_job
from napari_landmark.backend.job_folder import WORKER_LOG
from napari_landmark.backend.job_record import Step, list_records, new_record
from napari_landmark.backend.jobs.train import TrainJob
from napari_landmark.backend.local_machine import LocalMachine
from napari_landmark.backend.progress_file import HostState
from napari_landmark.detection import template_selection
from napari_landmark.gui.jobs.label_study import label_study_job
from napari_landmark.gui.jobs.open_study import open_job
from napari_landmark.gui.jobs.process_job import _text_there
from napari_landmark.gui.jobs.register_study import register_study_job
from napari_landmark.gui.jobs.suggest import suggest_job
from napari_landmark.gui.jobs.train import train_job
from napari_landmark.gui.jobs.unfinished import unfinished_record
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.widgets.train import TrainWidget

from ...backend.conftest import SMALL

SOURCE = str(Path(napari_landmark.__file__).parents[1])
PATIENCE = 240_000  # milliseconds: a worker imports torch, and a busy machine lets it wait


@pytest.fixture
def processes(monkeypatch, preferences):
    """Workers are processes, with small networks."""
    monkeypatch.delenv(machines.WORKERS)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([SOURCE, *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.setattr(machines, "LocalMachine", lambda: LocalMachine(SMALL))


@pytest.fixture
def annotated(viewer, truth):
    """The session of a viewer whose first image is annotated."""
    session = get_session(viewer)
    for position in truth["hand_000.png"]:
        AnnotationEditor(session).place_next(position)
    return session


@pytest.fixture
def heard(annotated):
    found = []
    annotated.message.connect(lambda kind, text: found.append((kind, text)))
    return found


def learns(job):
    """Whether a training has made steps."""
    return job.last_event is not None and job.last_event.loss is not None


def worker_pid(job) -> int:
    """Process of a worker that has begun."""
    return job._client.status.worker.pid


def test_a_training_goes_on_without_its_viewer_and_is_found_again(processes, annotated, study, qtbot):
    job = train_job(annotated, device="cpu", minutes=60)
    annotated.run(job)
    qtbot.waitUntil(lambda: learns(job), timeout=PATIENCE)
    pid, before = worker_pid(job), job.last_event.step
    annotated.close()  # as the window does
    assert job.wait(0)
    os.kill(pid, 0)  # it lives
    viewer = ViewerModel()
    session, told = get_session(viewer), []
    session.message.connect(lambda kind, text: told.append(text))
    widget = TrainWidget(viewer)
    qtbot.addWidget(widget)
    session.run(open_job(session, study.folder))
    qtbot.waitUntil(lambda: session.job is not None and session.job.kind is JobKind.TRAIN, timeout=PATIENCE)
    assert any("Training, begun" in text and "goes on" in text for text in told)
    again = session.job
    qtbot.waitUntil(lambda: learns(again) and again.last_event.step > before, timeout=PATIENCE)
    assert worker_pid(again) == pid
    assert widget.plot.stages  # drawn from the first step on
    widget.run.click()
    assert widget.run.text() == "Cancelling…"
    qtbot.waitUntil(lambda: session.job is None, timeout=PATIENCE)
    assert "Stopped after" in widget.stage_text.text()
    assert session.models.names == ("001",)
    assert list_records() == []
    session.close()


def test_a_killed_worker_is_told_with_its_remedy_and_the_study_is_whole(processes, annotated, heard, qtbot):
    job = train_job(annotated, device="cpu", minutes=60)
    annotated.run(job)
    qtbot.waitUntil(lambda: learns(job), timeout=PATIENCE)
    os.kill(worker_pid(job), signal.SIGKILL)
    qtbot.waitUntil(lambda: annotated.job is None, timeout=PATIENCE)
    (text,) = [text for kind, text in heard if kind == "error"]
    assert "ended without a word: killed, or crashed" in text
    assert WORKER_LOG in text
    assert "press Resume, or Train" in text
    assert annotated.annotation("hand_000.png").ndim == 2


@pytest.mark.parametrize("kind", [JobKind.REGISTER_STUDY, JobKind.LABEL_STUDY])
def test_killed_work_on_all_images_is_told_with_its_remedy(
    processes, annotated, heard, hands, tmp_path, qtbot, kind
):
    out = tmp_path / "out"
    job = {
        JobKind.REGISTER_STUDY: lambda: register_study_job(annotated, out, device="cpu"),
        JobKind.LABEL_STUDY: lambda: label_study_job(annotated, hands[0], out, device="cpu"),
    }[kind]()
    annotated.run(job)
    qtbot.waitUntil(lambda: bool(job._client and job._client.status.worker), timeout=PATIENCE)
    os.kill(worker_pid(job), signal.SIGKILL)
    qtbot.waitUntil(lambda: annotated.job is None, timeout=PATIENCE)
    (text,) = [text for told, text in heard if told == "error"]
    assert "ended without a word: killed, or crashed" in text
    assert "all images of the study, with the same folder" in text


def test_stopping_twice_ends_a_worker_at_once(processes, annotated, heard, qtbot):
    job = train_job(annotated, device="cpu", minutes=60)
    annotated.run(job)
    qtbot.waitUntil(lambda: learns(job), timeout=PATIENCE)
    pid = worker_pid(job)
    os.kill(pid, signal.SIGSTOP)  # one that does not answer
    job.cancel()
    assert not job.can_cancel
    qtbot.waitUntil(lambda: job.can_cancel, timeout=20_000)
    assert job.cancel_text == "End at once"
    job.cancel()
    qtbot.waitUntil(lambda: annotated.job is None, timeout=PATIENCE)
    assert heard[-1] == ("error", "Training was ended at once.")
    assert list_records() == []


def test_the_viewer_starts_a_training_without_torch():
    """Windows cannot load torch after Qt; and the memory is the worker's, who gives it back."""
    code = (
        "import sys\n"
        "from napari_landmark.gui.widgets import annotate, measure, planes, register, review, train\n"
        "from napari_landmark.gui.jobs import open_study, register_train, suggest\n"
        "from napari_landmark.gui.dialogs import hosts\n"
        "print('torch' in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert run.stdout == "False\n", run.stderr


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (JobState.SENDING, "sending to lab"),
        (JobState.QUEUED, "queued on lab since"),
        (JobState.UNREACHABLE, "not reachable since"),
        (JobState.FETCHING, "fetching from lab"),
        (JobState.RUNNING, ""),
    ],
)
def test_states_of_a_host_in_words(state, text):
    found = _text_there(HostState("lab", "20260101-000000-00000000", state, 0.0))
    assert found.startswith(text)
    assert bool(found) == bool(text)


def test_a_damaged_result_is_told_and_not_tried_again(annotated, heard, study, qtbot, monkeypatch):
    found = [SimpleNamespace(image="hand_000.png", score="good")]
    monkeypatch.setattr(template_selection, "suggest", lambda *_, **__: found)
    annotated.run(suggest_job(annotated))
    qtbot.waitUntil(lambda: annotated.job is None, timeout=PATIENCE)
    (text,) = [text for kind, text in heard if kind == "error"]
    assert "is damaged" in text
    assert unfinished_record(study.folder) is None


def test_a_job_whose_viewer_closed_while_it_was_prepared_is_found(annotated, study, qtbot):
    job = suggest_job(annotated)
    annotated.run(job)
    job.leave()
    qtbot.waitUntil(lambda: unfinished_record(study.folder) is not None, timeout=PATIENCE)
    assert unfinished_record(study.folder).step is Step.READY
    assert unfinished_record(study.folder.parent) is None  # another study


def test_a_job_on_a_host_whose_worker_here_ended_gets_another_one(study):
    record = new_record(TrainJob.KIND, host="lab", about={"study": str(study.folder)})
    write_job(record.folder, TrainJob(study=Path("study"), images=Path("images"), working_size=512))
    record.at(Step.STARTED)
    found = unfinished_record(study.folder)
    assert (found.kind, found.host, found.step) == (TrainOnHostJob.KIND, "", Step.READY)
    job = read_job(found.folder, ALL_KINDS)
    assert (job.host, job.job_id, job.working_size) == ("lab", record.job_id, 512)
    assert unfinished_record(study.folder) == found  # not one more each time
