"""Jobs on a small cohort, in private folders of the test."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path

import pytest

import napari_landmark
from napari_landmark.backend.job_file import write_job
from napari_landmark.backend.job_record import Step, new_record
from napari_landmark.backend.jobs.train import TrainJob
from napari_landmark.data.study.study import Study
from napari_landmark.synthetic import SCHEMA

FEW = {
    "self_steps": 2,
    "cross_steps": 1,
    "patch_steps": 1,
    "detector_steps": 2,
    "retrain_steps": 1,
    "patch_detector_steps": 2,
}
SOURCE = str(Path(napari_landmark.__file__).parents[1])
SMALL = shlex.join([sys.executable, str(Path(__file__).with_name("small_networks.py"))])
NO_LIMIT = 1e6  # minutes: on a busy machine the time would change the learning rate
LONG = {**FEW, "self_steps": 1_000_000}


@pytest.fixture(autouse=True)
def _own_jobs(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_LANDMARK_JOBS", str(tmp_path / "jobs of mine"))
    monkeypatch.setenv("NAPARI_LANDMARK_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([SOURCE, *filter(None, [os.environ.get("PYTHONPATH")])]))


@pytest.fixture
def untrained(tmp_path, data, phantoms):
    """A study with one annotated image and no model."""
    first = phantoms[0]
    study = Study.create(tmp_path / "study", schema=SCHEMA, images=data / "images", template=first.image.name)
    study.save_annotations(first.image.name, first.landmarks)
    return study


@pytest.fixture
def train_job(untrained):
    """Makes a training of that study: `steps` by stage."""

    def make(**options):
        images = untrained.require_images()
        return TrainJob(
            **{"study": untrained.folder, "images": images, "device": "cpu", "steps": FEW, **options}
        )

    return make


@pytest.fixture
def ready():
    """Makes the record of a job that is ready to be started."""

    def make(job, *, host="", about=None):
        record = new_record(job.KIND, host=host, about=about)
        write_job(record.folder, job)
        return record.at(Step.READY)

    return make


def wait_until(condition, seconds=120.0):
    """Wait for a condition; the test fails where it does not come true in time."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "too slow"
        time.sleep(0.02)
    return found


def private(folder):
    """Make a folder private."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chmod(folder, 0o700)
    return folder
