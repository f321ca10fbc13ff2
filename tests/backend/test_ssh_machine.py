"""Jobs on another user account through a real sshd: sent, cut off, found again, fetched, and refused."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import stat
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from napari_landmark.backend.client import JobClient, JobState
from napari_landmark.backend.hosts import Host, save_host
from napari_landmark.backend.job_file import read_job, write_job
from napari_landmark.backend.job_record import list_records
from napari_landmark.backend.jobs.train import TrainJob
from napari_landmark.backend.machine import UnreachableError
from napari_landmark.backend.receiving import receive_training
from napari_landmark.backend.sending import prepare_training
from napari_landmark.backend.ssh_machine import SshMachine
from napari_landmark.cli.app import main
from napari_landmark.cli.wording import word
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import load_model, was_cancelled
from napari_landmark.detection.training.options import default_options
from napari_landmark.detection.training.train import train
from napari_landmark.learning.device import choose_device

from .conftest import FEW, LONG, NO_LIMIT, wait_until
from .small_networks import make_small
from .ssh_server import SshServer, reason_without

pytestmark = pytest.mark.skipif(bool(reason_without()), reason=reason_without())

FOLDER = "~/jobs of 'mine' \"é\" $HOME;`id`"  # what a shell would read in many ways


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    found = SshServer(tmp_path_factory.mktemp("ssh"))
    yield found
    found.remove()


@pytest.fixture(scope="module")
def program(server):
    return server.program(str(Path(__file__).with_name("small_networks.py")))


@pytest.fixture
def host(server, program):
    """That server as a host with small networks."""
    server.trust()
    settings = Host(
        name="lab",
        address="lab",
        command=program,
        folder=FOLDER,
        ssh_config=str(server.config),
    )
    save_host(settings)
    return settings


@pytest.fixture
def prepared(untrained, host):
    """Makes the record of a training on that host."""

    def make(steps=FEW, **options):
        cohort = Cohort.from_folder(untrained.require_images())
        job = TrainJob(
            study=untrained.folder, images=cohort.folder, device="cpu", steps=steps, limit_minutes=NO_LIMIT
        )
        return prepare_training(untrained, cohort, job, host, **options)

    return make


@pytest.fixture
def follow(host, server):
    clients = []

    def start(record, machine=None):
        client = JobClient(record, machine or SshMachine(host))
        clients.append(client)
        client.start()
        return client

    yield start
    for client in clients:
        if client.is_following and not client.status.state.is_final:
            client.stop()
            client.stop()
            client.wait(30)
        client.close()
    for pid in server.pids():
        os.kill(pid, signal.SIGKILL)


def job_folder(server, record):
    """The folder of a job on the host."""
    (base,) = (path for path in server.home.iterdir() if path.name.startswith("jobs of"))
    return base / record.job_id


def training(client):
    wait_until(lambda: client.status.event is not None and client.status.event.loss is not None)


def test_of_the_connection(host, capsys):
    assert main(["hosts", "test", "lab"]) == 0
    said = capsys.readouterr().out
    assert "napari-landmark" in said and "cpu" in said and "GB free" in said


def test_the_model_of_a_training_here_though_the_connection_is_cut_twice(
    prepared, follow, server, untrained, monkeypatch
):
    record = prepared({**FEW, "self_steps": 100})
    client = follow(record)
    training(client)
    assert client.status.state is JobState.RUNNING
    folder = job_folder(server, record)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    # Numbers for names, no header, no other file of this machine.
    there = sorted(path.relative_to(folder).as_posix() for path in folder.glob("images/*"))
    assert there == [f"images/{k:07d}.nrrd" for k in range(4)]
    for path in (p for p in folder.rglob("*") if p.is_file() and p.suffix in (".json", ".csv", ".nrrd")):
        assert b"hand" not in path.read_bytes(), path
    server.cut()
    wait_until(lambda: client.status.state is JobState.UNREACHABLE)
    assert "cannot be reached" in str(client.status.error)
    # The client ends, too, and another one takes over.
    client.close()
    server.start()
    (found,) = list_records()
    other = follow(found)
    wait_until(lambda: other.status.state in (JobState.RUNNING, JobState.DONE))
    status = other.wait(300)
    assert status.state is JobState.DONE, status.error
    mirror = (record.folder / "progress.jsonl").read_bytes()
    assert mirror == (folder / "progress.jsonl").read_bytes()
    study = Study.open(untrained.folder)
    cohort = Cohort.from_folder(study.require_images())
    report = receive_training(other.record, study, cohort)
    assert report.model_dir == study.models_dir / "001"
    SshMachine(Host(**vars(other._machine.host))).remove(record.job_id, record.folder)
    assert not folder.exists()
    make_small(monkeypatch.setattr)
    options = default_options(choose_device("cpu"), seed=0)
    steps = {**FEW, "self_steps": 100}
    local = study_copy(study)
    train(local, cohort, options=replace(options, limit_minutes=NO_LIMIT, **steps))
    assert load_model(study, device="cpu").digest() == load_model(local, name="002", device="cpu").digest()
    for name in cohort.names:
        assert study.load_predictions(name) == local.load_predictions(name)


def study_copy(study):
    return Study.open(shutil.copytree(study.folder, study.folder.with_name("local")))


def test_from_the_terminal(server, host, data, tmp_path, capsys):
    first, *_ = sorted((data / "images").iterdir())
    arguments = ["train", "--images", str(data / "images"), "--template", str(first)]
    arguments += ["--landmarks", str(data / "template.csv"), "--out", str(tmp_path / "s"), "--device", "cpu"]
    assert main([*arguments, "--minutes", "0.02", "--on", "lab"]) == 0
    said = capsys.readouterr()
    assert "trained in" in said.out
    assert len(Study.open(tmp_path / "s").predictions()) == 4
    common = ["detect", str(tmp_path / "s"), "--images", str(data / "images"), "--device", "cpu"]
    (data / "images" / "broken.png").write_bytes(b"no picture")
    assert main([*common, "--out", str(tmp_path / "here.csv")]) == 0
    assert main([*common, "--out", str(tmp_path / "there.csv"), "--on", "lab"]) == 0
    assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()
    assert list_records() == []
    assert not any((job_folder(server, FakeRecord).parent).iterdir())
    assert main(["train", "--out", str(tmp_path / "s"), "--on", "nowhere"]) == 2
    assert "is not known (known: lab)" in capsys.readouterr().err


class FakeRecord:
    job_id = "x"


def test_stop_keeps_a_model_and_twice_kills(prepared, follow, untrained, server):
    record = prepared(LONG)
    client = follow(record)
    training(client)
    client.stop()
    assert client.wait(120).state is JobState.STOPPED
    cohort = Cohort.from_folder(untrained.require_images())
    report = receive_training(client.record, untrained, cohort)
    assert report.cancelled
    assert was_cancelled(report.model_dir)
    second = follow(prepared(LONG))
    training(second)
    (worker,) = workers(server)
    os.kill(worker, signal.SIGSTOP)  # one that does not answer
    second.stop()
    second.stop()
    assert second.wait(200).state is JobState.KILLED
    wait_until(lambda: not workers(server))


def workers(server):
    import psutil

    found = []
    for pid in server.pids():
        try:
            words = psutil.Process(pid).cmdline()
        except psutil.Error:
            continue
        if "work" in words:
            found.append(pid)
    return found


def test_a_killed_worker_is_told(prepared, follow, server):
    client = follow(prepared(LONG))
    training(client)
    for pid in workers(server):
        os.kill(pid, signal.SIGKILL)
    status = client.wait(200)
    assert status.state is JobState.DIED
    assert "the worker on lab ended without a word" in str(status.error)


def test_ssh_is_killed_again_and_again(prepared, follow):
    import psutil

    client = follow(prepared({**FEW, "self_steps": 100}))
    killed = 0
    end = time.monotonic() + 300
    while not client.status.state.is_final and time.monotonic() < end:
        for child in psutil.Process().children():
            if child.name() in ("ssh", "sftp") and killed < 6:
                child.kill()
                killed += 1
        client.wait(4)
    assert client.status.state is JobState.DONE, client.status.error
    assert killed >= 3


def test_images_that_are_there_are_not_sent(untrained, host, data, follow, server):
    shared = server.home / "shared é"
    shutil.copytree(data / "images", shared)
    subprocess.run(["chown", "-R", server.user, shared], check=True)
    here = untrained.require_images()
    mapped = Host(**{**vars(host), "paths": {str(here): str(shared)}})
    cohort = Cohort.from_folder(here)
    job = TrainJob(study=untrained.folder, images=here, device="cpu", steps=FEW)
    record = prepare_training(untrained, cohort, job, mapped)
    assert not (record.folder / "images").exists()
    client = follow(record, SshMachine(mapped))
    assert client.wait(400).state is JobState.DONE, client.status.error
    report = receive_training(client.record, untrained, cohort)
    assert sorted(report.predictions) == sorted(cohort.names)
    # Other images there are noticed.
    name = cohort.names[2]
    (shared / name).write_bytes((shared / cohort.names[1]).read_bytes())
    other = follow(prepare_training(untrained, cohort, job, mapped), SshMachine(mapped))
    status = other.wait(300)
    assert status.state is JobState.FAILED
    assert "holds other images" in str(status.error)


def test_reduced_images_give_predictions_in_native_pixels(prepared, follow, untrained):
    client = follow(prepared(reduced=True))
    assert client.wait(400).state is JobState.DONE, client.status.error
    cohort = Cohort.from_folder(untrained.require_images())
    report = receive_training(client.record, untrained, cohort)
    for name, marks in report.predictions.items():
        geometry = cohort.geometry(cohort.index(name))
        assert geometry.contains(marks.positions(2), margin=geometry.shape[0]).all()


class TestRefusals:
    """One line each."""

    def refused(self, host, **changes):
        with pytest.raises(InputError) as caught:
            SshMachine(Host(**{**vars(host), **changes})).test()
        return word(caught.value)

    def test_an_unknown_key(self, host, server):
        server.known.write_text("")
        assert "has a key that is not known; compare the key" in self.refused(host)

    def test_another_key(self, host, server):
        server.trust((server.folder / "client.pub").read_text())
        assert "has another key than the one that is known" in self.refused(host)

    def test_no_login(self, host, server, tmp_path):
        config = tmp_path / "ssh_config"
        config.write_text(server.config.read_text().replace(f"{server.folder}/client", "/dev/null"))
        assert "refuses the login without a password" in self.refused(host, ssh_config=str(config))

    def test_nobody_listens(self, host, tmp_path):
        config = tmp_path / "ssh_config"
        config.write_text("Host lab\n  HostName 127.0.0.1\n  Port 9\n")
        with pytest.raises(UnreachableError, match="cannot be reached"):
            SshMachine(Host(**{**vars(host), "ssh_config": str(config)})).test()

    def test_no_program(self, host):
        assert "has no /no/napari-landmark" in self.refused(host, command="/no/napari-landmark")

    def test_another_program(self, host):
        assert "starts no napari-landmark" in self.refused(host, command="false")

    def test_another_protocol(self, host):
        command = "echo 'Welcome!'; echo napari-landmark host service 99 9.9 #"
        assert "speaks protocol 99 of jobs, this napari-landmark 1; install the same" in self.refused(
            host, command=command
        )

    def test_endless_words(self, host):
        assert "prints too much" in self.refused(host, command="yes #")

    def test_a_folder_of_somebody_else(self, host, server):
        folder = server.home / "of root"
        folder.mkdir(mode=0o777)
        assert "belongs to another user" in self.refused(host, folder=str(folder))

    def test_a_folder_that_is_open_to_all(self, host, server):
        folder = server.home / "open"
        folder.mkdir()
        shutil.chown(folder, server.user)
        folder.chmod(0o755)
        assert "others may enter it" in self.refused(host, folder=str(folder))

    @pytest.mark.parametrize("size", ["4k", "16k"])  # told before anything is sent, and while files are sent
    def test_a_full_disk(self, host, server, prepared, follow, size):
        disk = server.home / f"disk of {size}"
        disk.mkdir()
        mount = [
            "mount",
            "-t",
            "tmpfs",
            "-o",
            f"size={size},mode=700,uid={disk.parent.stat().st_uid}",
            "tmpfs",
            disk,
        ]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("may not mount a file system")
        try:
            small = replace(host, folder=str(disk / "jobs"))
            save_host(small)
            status = follow(prepared(), SshMachine(small)).wait(120)
            assert status.state is JobState.FAILED
            line = word(status.error)
            assert line.startswith("lab: ")
            assert str(disk / "jobs") in line
            assert line.endswith("free some space there")
            assert "\n" not in line
        finally:
            subprocess.run(["umount", "-l", disk], check=True)

    def test_no_card(self, host, server, prepared, follow):
        if shutil.which("nvidia-smi"):
            pytest.skip("there is a card")
        record = prepared()
        write_job(record.folder, replace(read_job(record.folder), device="cuda"))
        status = follow(record).wait(200)
        assert status.state is JobState.FAILED
        line = word(status.error)
        assert "cuda" in line
        assert "\n" not in line

    def test_answers_that_are_none(self, host):
        for answer in ("[]", '{"version": 1}', "{" * 3000, '{"error": ["\\u001b[2J"]}', "x"):
            command = f"echo napari-landmark host service 1 1; echo {shlex.quote(answer)} #"
            line = self.refused(host, command=command)
            assert "\x1b" not in line
            assert "\n" not in line
