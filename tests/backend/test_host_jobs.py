"""A worker here that lets a host work: it sends, follows, passes on what the user asks, and takes the results over."""

from __future__ import annotations

import threading

import pytest

from napari_landmark.backend import host_jobs
from napari_landmark.backend.client import JobState
from napari_landmark.backend.host_jobs import ALL_KINDS, DetectOnHostJob, TrainOnHostJob
from napari_landmark.backend.hosts import Host, save_host
from napari_landmark.backend.in_process_machine import InProcessMachine
from napari_landmark.backend.job_file import write_job
from napari_landmark.backend.job_folder import Outcome, read_done
from napari_landmark.backend.job_record import Step, list_records, new_record
from napari_landmark.backend.progress_file import HostState, PreviewLandmarks, ProgressReader
from napari_landmark.backend.worker import run_worker
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training import options
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.summary import TrainingSummary

from .conftest import wait_until
from .small_networks import make_small


@pytest.fixture
def lab(monkeypatch):
    """A host whose workers are threads of this process; trainings there are short."""
    make_small(monkeypatch.setattr)
    save_host(Host(name="lab", address="lab"))
    monkeypatch.setattr(host_jobs, "machine_of", lambda record: InProcessMachine())
    steps = [2, 1, 1, 2, 1]
    monkeypatch.setattr(
        options,
        "default_options",
        lambda device, *, seed=0, minutes=None: TrainingOptions(None, "cpu", seed, *steps),
    )
    return steps


@pytest.fixture
def work():
    """Does a job here, in a private folder; returns the folder."""

    def run(job):
        record = new_record(job.KIND, about={"study": str(job.study)})
        write_job(record.folder, job)
        run_worker(record.at(Step.READY).folder, kinds=ALL_KINDS, own_process=False)
        return record.folder

    return run


def told(folder):
    return [entry.content for entry in ProgressReader(folder / "progress.jsonl").read()]


def test_training_and_detection_on_a_host(lab, work, untrained):
    folder = work(TrainOnHostJob(study=untrained.folder, host="lab", device="cpu"))
    done = read_done(folder)
    assert done.error is None
    assert done.outcome is Outcome.DONE
    summary = TrainingSummary.from_json(done.result["summary"])
    assert summary.model == "001"
    study = Study.open(untrained.folder)
    names = [path.name for path in sorted(study.require_images().iterdir())]
    assert sorted(study.predictions()) == names  # under the names here
    assert load_model(study, device="cpu").record["host"] == "lab"
    assert study.report_page("001") is not None
    states = [content.state for content in told(folder) if isinstance(content, HostState)]
    assert states[-1] == JobState.DONE
    before = study.predictions()
    annotated = study.annotations()
    folder = work(DetectOnHostJob(study=untrained.folder, host="lab", device="cpu"))
    assert read_done(folder).error is None
    assert read_done(folder).result["images"] == len(names)
    again = Study.open(untrained.folder)
    assert again.predictions().keys() == before.keys()
    assert again.annotations() == annotated
    assert [record for record in list_records() if record.host] == []


def test_a_stop_reaches_the_host_and_keeps_a_model(lab, untrained):
    lab[0] = 1_000_000
    job = TrainOnHostJob(study=untrained.folder, host="lab", device="cpu")
    record = new_record(job.KIND)
    write_job(record.folder, job)
    worker = threading.Thread(
        target=lambda: run_worker(record.folder, kinds=ALL_KINDS, own_process=False), daemon=True
    )
    worker.start()
    first = sorted(path.name for path in untrained.require_images().iterdir())[0]
    InProcessMachine().watch(record.job_id, record.folder, first)
    reader, previews = ProgressReader(record.folder / "progress.jsonl"), []

    def previewed():
        found = [entry.content for entry in reader.read()]
        previews.extend(content for content in found if isinstance(content, PreviewLandmarks))
        return previews

    wait_until(previewed)
    assert previews[0].image == first  # the host knows a number
    InProcessMachine().stop(record.job_id, record.folder)
    worker.join(120)
    done = read_done(record.folder)
    assert done.outcome is Outcome.STOPPED
    assert TrainingSummary.from_json(done.result["summary"]).cancelled
    assert load_model(Study.open(untrained.folder), device="cpu").schema.names == untrained.schema.names
