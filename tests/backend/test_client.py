"""Jobs of this machine: started, followed, stopped, killed at any time, and found again."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from napari_landmark.backend.client import JobClient, JobState
from napari_landmark.backend.job_folder import KILL
from napari_landmark.backend.job_record import Step, list_records, read_record
from napari_landmark.backend.local_machine import LocalMachine
from napari_landmark.backend.progress_file import LogLine, PreviewLandmarks, Started
from napari_landmark.cli.app import main
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import load_model, was_cancelled
from napari_landmark.detection.training.options import default_options
from napari_landmark.detection.training.train import train
from napari_landmark.learning.device import choose_device

from .conftest import FEW, LONG, NO_LIMIT, SMALL, wait_until
from .small_networks import make_small


@pytest.fixture
def follow():
    """Starts clients of records, and closes them at the end."""
    clients = []

    def start(record):
        client = JobClient(record, LocalMachine(SMALL))
        clients.append(client)
        client.start()
        return client

    yield start
    for client in clients:
        if client.is_following and not client.status.state.is_final:
            client.stop()
            client.stop()
            client.wait(20)
        client.close()


def running(client):
    return wait_until(lambda: client.status.state is JobState.RUNNING and client.status.event)


def training(client):
    """Wait until the first steps of a training are done: images are compared, and events told, before."""
    return wait_until(lambda: client.status.event is not None and client.status.event.loss is not None)


def test_a_worker_trains_the_model_of_a_training_in_process(train_job, ready, follow, untrained, monkeypatch):
    client = follow(ready(train_job(limit_minutes=NO_LIMIT)))
    status = client.wait(300)
    assert status.state is JobState.DONE, status.error
    assert isinstance(status.worker, Started)
    study = Study.open(untrained.folder)
    assert status.done.result["model"] == "001"
    digest = load_model(study, device="cpu").digest()
    assert status.done.result["digest"] == digest
    assert len(study.predictions()) == 4
    # The same seed, options and number of threads in this process.
    make_small(monkeypatch.setattr)
    cohort = Cohort.from_folder(study.require_images(), spacing=study.spacing)
    options = default_options(choose_device("cpu"), seed=0)
    train(study, cohort, options=replace(options, limit_minutes=NO_LIMIT, **FEW))
    assert load_model(study, name="002", device="cpu").digest() == digest
    assert (client.record.folder / "predictions.jsonl").stat().st_size > 1000


def test_stop_keeps_a_usable_model(train_job, ready, follow, untrained):
    client = follow(ready(train_job(steps=LONG)))
    training(client)
    client.stop()
    assert client.status.state is JobState.STOPPING
    status = client.wait(120)
    assert status.state is JobState.STOPPED
    study = Study.open(untrained.folder)
    assert was_cancelled(study.models_dir / "001")
    assert load_model(study, device="cpu").digest() == status.done.result["digest"]


def test_stop_twice_kills(train_job, ready, follow):
    client = follow(ready(train_job(steps=LONG)))
    training(client)
    client.stop()
    client.stop()
    assert client.wait(20).state is JobState.KILLED


def test_a_killed_worker_is_told(train_job, ready, follow, untrained):
    client = follow(ready(train_job(steps=LONG)))
    training(client)
    os.kill(client.status.worker.pid, signal.SIGKILL)
    status = client.wait(20)
    assert status.state is JobState.DIED
    assert "ended without a word" in str(status.error)


def test_a_slow_worker_is_not_called_dead(train_job, ready, follow):
    client = follow(ready(train_job(steps=LONG)))
    training(client)
    pid = client.status.worker.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        assert client.wait(2).state is JobState.RUNNING
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_job_goes_on_without_its_client_and_is_found_again(train_job, ready, follow):
    client = follow(ready(train_job(steps={**LONG, "self_steps": 60})))
    training(client)
    client.close()
    assert not client.status.state.is_final
    (record,) = list_records()
    assert record.step is Step.STARTED
    other = follow(record)
    status = other.wait(200)
    assert status.state is JobState.DONE
    assert read_record(record.job_id).step is Step.FETCHED
    # Asked once more, it tells the same.
    other.close()
    assert follow(read_record(record.job_id)).wait(10).state is JobState.DONE


def test_one_client_at_a_time(train_job, ready, follow):
    client = follow(ready(train_job(steps=LONG)))
    running(client)
    with pytest.raises(InputError, match="another program follows this job"):
        JobClient(client.record, LocalMachine())


def test_a_failure_is_told_in_one_line(train_job, ready, follow, tmp_path):
    status = follow(ready(train_job(images=tmp_path / "no such folder"))).wait(60)
    assert status.state is JobState.FAILED
    assert "there is no such folder" in str(status.error)


def test_preview_of_the_image_that_is_looked_at(train_job, ready, follow, phantoms):
    client = follow(ready(train_job(steps=LONG)))
    client.watch(phantoms[1].image.name)
    seen = []

    def previewed():
        seen.extend(entry.content for entry in client.take_entries())
        return [content for content in seen if isinstance(content, PreviewLandmarks)]

    (first, *_) = wait_until(previewed)
    assert first.image == phantoms[1].image.name
    assert list(first.positions) == list(phantoms[1].landmarks)


def test_skipped_files_are_logged(train_job, ready, follow, data):
    (data / "images" / "broken.png").write_bytes(b"no picture")
    client = follow(ready(train_job()))
    assert client.wait(200).state is JobState.DONE
    lines = [e.content.text for e in client.take_entries() if isinstance(e.content, LogLine)]
    assert any(line.startswith("left out: broken.png") for line in lines)


def test_the_command_refuses_what_is_no_job(tmp_path, capsys):
    folder = tmp_path / "empty"
    folder.mkdir(mode=0o700)
    assert main(["work", str(folder)]) == 2
    open_folder = tmp_path / "open"
    open_folder.mkdir(mode=0o755)
    assert main(["work", str(open_folder)]) == 2
    assert "others may enter it" in capsys.readouterr().err


def test_a_kill_that_was_asked_for_before_is_one(train_job, ready, follow):
    client = follow(ready(train_job(steps=LONG)))
    training(client)
    client.close()
    (client.record.folder / KILL).touch()
    wait_until(lambda: follow_again(client, follow).wait(2).state is JobState.KILLED)


def follow_again(client, follow):
    client.close()
    return follow(read_record(client.record.job_id))
