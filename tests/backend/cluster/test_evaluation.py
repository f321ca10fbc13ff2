"""Evaluation of a registration model on a real dask scheduler whose worker processes are killed."""

from __future__ import annotations

import json
import os
import signal

import pytest
from PIL import Image

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

from napari_landmark.backend.cluster.evaluation import evaluate_on_cluster
from napari_landmark.cli.app import main
from napari_landmark.data.errors import InputError
from napari_landmark.progress import CancelToken
from napari_landmark.registration.options import PairOptions

from .conftest import wait_for_workers


@pytest.fixture
def trained(data, phantoms, tmp_path):
    """A model of a few steps, and pairs of all images."""
    (data / "labels").mkdir()
    for phantom in phantoms[:2]:
        Image.fromarray(phantom.labels).save(data / "labels" / phantom.image.name)
    words = [
        "register",
        "train",
        "--images",
        data / "images",
        "--labels",
        data / "labels",
        "--out",
        tmp_path / "model",
    ]
    assert main([*map(str, words), "--minutes", "0.01", "--device", "cpu"]) == 0
    names = sorted(path.name for path in (data / "images").iterdir())
    pairs = [(fixed, moving) for fixed in names for moving in names if fixed != moving]
    table = tmp_path / "pairs of images.csv"
    table.write_text("fixed,moving\n" + "".join(f"{fixed},{moving}\n" for fixed, moving in pairs))
    return tmp_path / "model", table, len(pairs)


def without_time(result):
    return {key: value for key, value in result.items() if key != "seconds_per_pair"}


def test_the_measures_of_one_process_though_a_worker_is_killed(cluster, trained, data, capsys):
    address, processes = cluster
    model, table, count = trained
    options = {"--model": model, "--images": data / "images", "--pairs": table, "--labels": data / "labels"}
    options |= {"--landmarks": data / "truth.csv", "--device": "cpu", "--steps": 0}
    words = ["register", "evaluate", "--json", *(str(word) for option in options.items() for word in option)]
    capsys.readouterr()
    assert main(words) == 0
    alone = json.loads(capsys.readouterr().out)
    wait_for_workers(address, 3)
    killed = []

    def kill_one(event):
        if event.fraction and not killed:
            killed.append(processes[1].pid)
            os.kill(processes[1].pid, signal.SIGKILL)

    found = evaluate_on_cluster(
        address,
        model,
        table,
        images=data / "images",
        labels=data / "labels",
        landmarks=data / "truth.csv",
        options=PairOptions(steps=0, device="cpu"),
        pairs_per_task=1,
        progress=kill_one,
    )
    assert killed
    assert without_time(found.to_json() | {"dice_per_label": alone["dice_per_label"]}) == without_time(alone)
    assert {str(label): value for label, value in found.dice_per_label.items()} == alone["dice_per_label"]
    assert main([*words, "--executor", address]) == 0
    assert without_time(json.loads(capsys.readouterr().out)) == without_time(alone)

    cancel = CancelToken()
    stopped = evaluate_on_cluster(
        address, model, table, images=data / "images", options=PairOptions(steps=0, device="cpu"),
        pairs_per_task=1, progress=lambda event: cancel.cancel(), cancel=cancel,
    )  # fmt: skip
    assert stopped.cancelled
    assert stopped.n_pairs < stopped.n_asked == count

    (data / "images" / sorted(path.name for path in (data / "images").iterdir())[0]).write_bytes(
        b"no picture"
    )
    with pytest.raises(InputError, match=r"a worker of the cluster failed: InputError: .*hand_000"):
        evaluate_on_cluster(
            address, model, table, images=data / "images", options=PairOptions(steps=0, device="cpu")
        )
