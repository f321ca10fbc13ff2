"""A training from the viewer through a real sshd: cut off, left, found again, fetched; and ended at once."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from napari.components import ViewerModel

from napari_landmark.backend import machines
from napari_landmark.backend.hosts import Host, save_host
from napari_landmark.backend.job_record import list_records
from napari_landmark.backend.local_machine import LocalMachine
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training import options
from napari_landmark.detection.training.train import train
from napari_landmark.gui.jobs.open_study import open_job
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.widgets.train import TrainWidget
from napari_landmark.learning.device import choose_device

from ...backend import small_networks
from ...backend.conftest import SMALL, SOURCE
from ...backend.ssh_server import SshServer, reason_without

pytestmark = pytest.mark.skipif(bool(reason_without()), reason=reason_without())
PATIENCE = 240_000  # milliseconds
STEPS = 60
NETWORKS = Path(small_networks.__file__)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    found = SshServer(tmp_path_factory.mktemp("ssh"))
    yield found
    found.remove()


@pytest.fixture
def host(server, monkeypatch, preferences):
    """That server as a host, and workers of this computer as processes, all with small networks."""
    monkeypatch.delenv(machines.WORKERS)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([SOURCE, *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.setattr(machines, "LocalMachine", lambda: LocalMachine(SMALL))
    settings = Host(
        name="lab",
        address="lab",
        command=f"env {small_networks.STEPS}={STEPS} {server.program(str(NETWORKS))}",
        folder="~/jobs of mine",
        ssh_config=str(server.config),
    )
    save_host(settings)
    yield settings
    for pid in server.pids():
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def open_train(qtbot):
    """Makes the Train widget of a viewer."""

    def make(viewer):
        widget = TrainWidget(viewer)
        qtbot.addWidget(widget)
        return widget

    return make


@pytest.fixture
def annotated(viewer, truth):
    session = get_session(viewer)
    for position in truth["hand_000.png"]:
        AnnotationEditor(session).place_next(position)
    return session


def begin(widget, qtbot):
    """Train on the host; returns once it has made steps."""
    compute = widget.compute
    row = compute.box.findData("lab")
    compute.box.setCurrentIndex(row)
    compute.box.activated.emit(row)
    widget.run.click()
    job = widget.session.job
    qtbot.waitUntil(lambda: job.last_event is not None and job.last_event.loss is not None, timeout=PATIENCE)
    return job


def test_cut_off_left_and_found_again(host, server, viewer, annotated, open_train, study, qtbot, monkeypatch):
    local = Study.open(
        shutil.copytree(study.folder, study.folder.parent / "local", ignore=shutil.ignore_patterns("*.lock"))
    )
    widget = open_train(viewer)
    job = begin(widget, qtbot)
    assert "lab, cpu" in widget.live.text()
    server.cut()
    qtbot.waitUntil(lambda: "ot reachable since" in widget.live.text(), timeout=PATIENCE)
    annotated.close()  # as the window does
    assert job.wait(0)
    other = ViewerModel()
    session, told = get_session(other), []
    session.message.connect(lambda kind, text: told.append((kind, text)))
    again = open_train(other)
    session.run(open_job(session, study.folder))
    qtbot.waitUntil(lambda: session.job is not None and session.job.kind is JobKind.TRAIN, timeout=PATIENCE)
    assert any("goes on" in text for _, text in told)
    assert again.compute.host == "lab"
    server.start()
    qtbot.waitUntil(lambda: session.job is None, timeout=PATIENCE)
    assert "Trained" in again.stage_text.text(), told
    assert session.models.names == ("001",)
    assert list_records() == []
    assert not list((server.home / "jobs of mine").glob("*/job.json"))
    small_networks.make_small(monkeypatch.setattr)
    small_networks.make_short(STEPS, monkeypatch.setattr)
    cohort = Cohort.from_folder(local.require_images(), working_size=128)
    train(local, cohort, options=options.default_options(choose_device("cpu"), seed=0))
    there, here = (load_model(s, device="cpu") for s in (study, local))
    assert there.digest() == here.digest()
    for name in cohort.names:
        assert Study.open(study.folder).load_predictions(name) == local.load_predictions(name)
    session.close()


def test_ended_at_once(host, server, viewer, annotated, open_train, qtbot):
    told = []
    annotated.message.connect(lambda kind, text: told.append((kind, text)))
    widget = open_train(viewer)
    job = begin(widget, qtbot)
    (worker,) = [pid for pid in server.pids() if b"\0work\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(worker, signal.SIGSTOP)  # one that does not answer
    widget.run.click()
    qtbot.waitUntil(lambda: widget.run.text() == "End at once", timeout=PATIENCE)
    widget.run.click()
    qtbot.waitUntil(lambda: annotated.job is None, timeout=PATIENCE)
    assert told[-1] == ("error", "Training was ended at once.")
    assert worker not in server.pids()
    assert list_records() == []
    assert not list((server.home / "jobs of mine").glob("*/job.json"))
    assert job.wait(0)
