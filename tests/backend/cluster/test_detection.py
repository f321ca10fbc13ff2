"""Detection on a real dask scheduler whose worker processes are killed."""

from __future__ import annotations

import os
import signal
import time

import pytest

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

from napari_landmark.backend.cluster.detection import detect_on_cluster
from napari_landmark.cli.app import main
from napari_landmark.data.errors import InputError
from napari_landmark.detection.model.store import load_model
from napari_landmark.progress import CancelToken

from .conftest import wait_for_workers


def test_the_table_of_one_process_though_a_worker_is_killed(cluster, study, data, tmp_path):
    address, processes = cluster
    first, *_ = (data / "images").iterdir()
    for number in range(26):
        (data / "images" / f"copy {number} é.png").write_bytes(first.read_bytes())
    (data / "images" / "broken.png").write_bytes(b"no picture")
    common = [str(study.folder), "--images", str(data / "images"), "--device", "cpu"]
    assert main(["detect", *common, "--out", str(tmp_path / "whole.csv")]) == 0
    wait_for_workers(address, 3)
    model = load_model(study, device="cpu")
    killed = []

    def kill_one(event):
        if event.stage == "detecting" and not killed:
            killed.append(processes[1].pid)
            os.kill(processes[1].pid, signal.SIGKILL)

    # Two images a task, and then the same through the command with the journal of this run.
    cancel = CancelToken()

    def cancel_late(event):
        kill_one(event)
        if event.fraction > 0.6:
            cancel.cancel()

    journal = tmp_path / "found.csv.part.jsonl"
    found = detect_on_cluster(
        address, study, model, data / "images", model_name="001", device="cpu", journal=journal,
        default_spacing=study.spacing, images_per_task=2, progress=cancel_late, cancel=cancel,
    )  # fmt: skip
    assert killed
    assert found.cancelled
    assert 10 <= len(found.landmarks) < 30
    assert main(["detect", *common, "--out", str(tmp_path / "found.csv"), "--executor", address]) == 0
    assert (tmp_path / "found.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not list(tmp_path.glob("*.part*"))


def test_no_scheduler_is_told(study, data, monkeypatch):
    monkeypatch.setattr("napari_landmark.backend.cluster.tasks._SECONDS_TO_CONNECT", 1)
    started = time.monotonic()
    with pytest.raises(InputError, match="no scheduler answers there"):
        detect_on_cluster(
            "dask://127.0.0.1:9",
            study,
            load_model(study, device="cpu"),
            data / "images",
            model_name="001",
            device="cpu",
        )
    assert time.monotonic() - started < 60
