"""Kill -9 of clients and workers of jobs at random moments: nothing is lost, and every end is told as what it is.

NAPARI_LANDMARK_KILLS is the number of kills in all (60 by default), NAPARI_LANDMARK_SEED decides their moments.
"""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from napari_landmark.backend.job_file import write_job
from napari_landmark.backend.job_folder import read_done
from napari_landmark.backend.job_record import Step, new_record, read_record
from napari_landmark.backend.jobs.train import TrainJob
from napari_landmark.backend.progress_file import ProgressReader, Started
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import load_model, model_folders
from napari_landmark.synthetic import SCHEMA, hand_phantom

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
KILLS = int(os.environ.get("NAPARI_LANDMARK_KILLS", "60"))
ROOT = Path(__file__).parents[1]
SMALL = shlex.join([sys.executable, str(ROOT / "tests" / "backend" / "small_networks.py")])
STEPS = {
    "self_steps": 30,
    "cross_steps": 2,
    "patch_steps": 2,
    "detector_steps": 3,
    "retrain_steps": 2,
    "patch_detector_steps": 2,
}
CLIENT = """
import sys
from napari_landmark.backend.client import JobClient
from napari_landmark.backend.job_record import read_record
from napari_landmark.backend.local_machine import LocalMachine

client = JobClient(read_record(sys.argv[1]), LocalMachine(sys.argv[2]))
print("following", flush=True)
client.start()
print(client.wait(900).state, flush=True)
"""


@pytest.fixture
def chance():
    return random.Random(int(os.environ.get("NAPARI_LANDMARK_SEED", "0")))


@pytest.fixture
def study(tmp_path, monkeypatch):
    for name in ("JOBS", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"NAPARI_LANDMARK_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "images").mkdir()
    phantoms = [hand_phantom(seed, size=(64, 64)) for seed in range(3)]
    for phantom in phantoms:
        Image.fromarray(phantom.image.array).save(tmp_path / "images" / phantom.image.name)
    first = phantoms[0]
    made = Study.create(
        tmp_path / "study", schema=SCHEMA, images=tmp_path / "images", template=first.image.name
    )
    made.save_annotations(first.image.name, first.landmarks)
    return made


def new_job(study):
    job = TrainJob(
        study=study.folder, images=study.require_images(), device="cpu", steps=STEPS, limit_minutes=1e6
    )
    record = new_record(job.KIND)
    write_job(record.folder, job)
    return record.at(Step.READY)


def start_client(record):
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, record.job_id, SMALL], stdout=subprocess.PIPE, text=True
    )
    assert client.stdout.readline() == "following\n"
    return client


def undisturbed(study):
    """Seconds and digest of a job that nobody disturbs."""
    record, started = new_job(study), time.monotonic()
    client = start_client(record)
    assert client.communicate()[0] == "done\n"
    return time.monotonic() - started, read_done(record.folder).result["digest"]


def test_clients_that_are_killed(study, chance):
    seconds, digest = undisturbed(study)
    killed = jobs = 0
    while killed < round(0.7 * KILLS):
        record, jobs = new_job(study), jobs + 1
        state = ""
        while not state:
            client = start_client(read_record(record.job_id))
            try:
                state = client.communicate(timeout=chance.uniform(0, seconds / 2))[0].strip()
            except subprocess.TimeoutExpired:
                client.kill()
                client.communicate()
                killed += 1
        assert state == "done"
        assert read_done(record.folder).result["digest"] == digest
    models = model_folders(study)
    assert len(models) == jobs + 1  # each job was done once
    print(f"{killed} clients killed in {jobs} jobs")


def test_workers_that_are_killed(study, chance):
    seconds, digest = undisturbed(study)
    annotations = study.annotations()
    told = []
    while len(told) < round(0.3 * KILLS):
        record = new_job(study)
        client = start_client(record)
        reader, pid = ProgressReader(record.folder / "progress.jsonl"), None
        while pid is None:
            pid = next((e.content.pid for e in reader.read() if isinstance(e.content, Started)), None)
        time.sleep(chance.uniform(0, seconds))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        told.append(client.communicate(timeout=120)[0].strip())
        # A worker that had written its end before is done; nothing else is ever said of a killed one.
        assert told[-1] == ("died" if read_done(record.folder) is None else "done")
        again = Study.open(study.folder)
        assert again.annotations() == annotations
        assert load_model(again, name="001", device="cpu").digest() == digest
    print(f"{told.count('died')} died, {told.count('done')} were done before")
