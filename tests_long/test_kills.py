"""Kill -9 at random moments: every file readable, nothing lost that was reported as saved, and the work resumes.

NAPARI_LANDMARK_KILLS is the number of kills in all (200 by default), NAPARI_LANDMARK_SEED decides their moments.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
import kill_worker
from kill_worker import ENDINGS, GEOMETRY, SCHEMA, numbered, small_trainings

from napari_landmark.cli.app import main
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import can_resume, load_model, model_folders
from napari_landmark.synthetic import hand_phantom

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
KILLS = int(os.environ.get("NAPARI_LANDMARK_KILLS", "200"))
SHARES = {"autosave": 0.35, "export": 0.25, "train": 0.25, "detect": 0.15}


@pytest.fixture
def chance():
    return random.Random(int(os.environ.get("NAPARI_LANDMARK_SEED", "0")))


def kills(kind: str) -> int:
    return max(1, round(KILLS * SHARES[kind]))


def start(kind: str, folder: Path, argument: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, kill_worker.__file__, kind, str(folder), argument],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_after(process: subprocess.Popen, seconds: float) -> list:
    """Kill the process `seconds` after its first line; returns the reports of its output."""
    first = process.stdout.readline()
    assert first, process.communicate()[1]
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    out, err = process.communicate()
    assert "Traceback" not in err, err
    lines = [line for line in (first + out).splitlines(keepends=True) if line.endswith("\n")]
    return [json.loads(line) for line in lines if line.startswith(("[", '"'))]


def duration(kind: str, folder: Path, argument: str) -> float:
    """Seconds of the whole work from its first line on, without a kill."""
    process = start(kind, folder, argument)
    assert process.stdout.readline()
    begun = time.monotonic()
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    return time.monotonic() - begun


def test_autosave(tmp_path, chance):
    study = Study.create(tmp_path / "study", schema=SCHEMA, template="image 0.png")
    saved: dict[str, int] = {}
    number = 0
    for _ in range(kills("autosave")):
        process = start("autosave", study.folder, str(number))
        reported = kill_after(process, chance.random() * 0.15)
        saved.update(dict(reported))
        number = reported[-1][1] + 1
        found = Study.open(study.folder).annotations()
        assert found.keys() >= saved.keys()
        for name, last in saved.items():
            # The last report, or the data being written when the process was killed.
            allowed = [numbered(last)] + ([numbered(number)] if name == f"image {number % 7}.png" else [])
            assert found[name] in allowed, name
            if found[name] != allowed[0]:
                saved[name] = number
        number += 1


def test_export(tmp_path, chance):
    saved: dict[str, int] = {}
    number = 0
    geometries = {"a.png": GEOMETRY}
    for _ in range(kills("export")):
        reported = kill_after(start("export", tmp_path, str(number)), chance.random() * 0.15)
        saved.update(dict(reported))
        number = reported[-1][1] + 1
        for name, last in saved.items():
            (found,) = read_landmarks(tmp_path / name, schema=SCHEMA, geometries=geometries).values()
            being_written = f"a.{ENDINGS[number % len(ENDINGS)]}" == name
            rows = {round(float(row)) for row in found.positions()[:, 0]}
            assert rows in ([{last % 4000}] + [{number % 4000}] * being_written), name
            if rows != {last % 4000}:
                saved[name] = number
        number += 1


@pytest.fixture
def data(tmp_path):
    """A folder of four small synthetic hands with the landmarks of one."""
    folder = tmp_path / "images"
    folder.mkdir()
    phantoms = [hand_phantom(seed, size=(64, 64)) for seed in range(4)]
    for phantom in phantoms:
        Image.fromarray(phantom.image.array).save(folder / phantom.image.name)
    first = phantoms[0]
    write_landmarks(tmp_path / "template.csv", {first.image.name: first.landmarks})
    return tmp_path


def train_arguments(data: Path) -> list[str]:
    template = sorted((data / "images").iterdir())[0]
    return ["train", "--images", str(data / "images"), "--template", str(template),
            "--landmarks", str(data / "template.csv"), "--out", str(data / "study"), "--device", "cpu"]  # fmt: skip


def resume_arguments(data: Path) -> list[str]:
    return ["train", "--out", str(data / "study"), "--resume", "--device", "cpu"]


def test_train(data, chance, monkeypatch):
    """A killed training is resumed or started anew, and earlier models and annotations stay complete."""
    monkeypatch.setenv("NAPARI_LANDMARK_CACHE", str(data / "cache"))
    study_folder = data / "study"
    annotation, resumed, whole = None, 0, 0
    arguments = train_arguments(data)
    whole_time = duration("train", data, json.dumps(arguments))
    shutil.rmtree(study_folder)
    for _ in range(kills("train")):
        process = start("train", data, json.dumps(arguments))
        kill_after(process, chance.random() * whole_time)
        if not Study.exists(study_folder):
            continue
        study = Study.open(study_folder)
        for folder in model_folders(study):  # a folder listed as a model is complete
            load_model(study, name=folder.name, device="cpu")
            whole += 1
        study.predictions()
        found = study.annotations()
        assert annotation is None or found == annotation
        annotation = found or None
        if annotation is None:
            continue
        if can_resume(study):
            arguments, resumed = resume_arguments(data), resumed + 1
        else:
            arguments = ["train", "--out", str(study_folder), "--device", "cpu"]
    small_trainings()
    if not annotation:
        assert main(train_arguments(data)) == 0
    elif can_resume(Study.open(study_folder)):
        assert main(resume_arguments(data)) == 0
    else:
        assert main(["train", "--out", str(study_folder), "--device", "cpu"]) == 0
    assert not can_resume(Study.open(study_folder))
    assert len(Study.open(study_folder).predictions()) == 4
    print(f"trainings resumed after a kill: {resumed}; finished models loaded: {whole}")


def test_detect(data, chance, monkeypatch):
    """After a kill the same command resumes and gives the same table."""
    monkeypatch.setenv("NAPARI_LANDMARK_CACHE", str(data / "cache"))
    small_trainings()
    assert main(train_arguments(data)) == 0
    many = data / "many"
    many.mkdir()
    for number in range(40):
        original = sorted((data / "images").iterdir())[number % 4]
        shutil.copy(original, many / f"{number:03d}.png")

    def arguments(out: str) -> list[str]:
        return [
            "detect",
            str(data / "study"),
            "--images",
            str(many),
            "--out",
            str(data / out),
            "--device",
            "cpu",
        ]

    assert main(arguments("whole.csv")) == 0
    expected = (data / "whole.csv").read_bytes()
    whole_time = duration("detect", data, json.dumps(arguments("found.csv")))
    (data / "found.csv").unlink()
    finished = 0
    for _ in range(kills("detect")):
        out = data / "found.csv"
        kill_after(start("detect", data, json.dumps(arguments("found.csv"))), chance.random() * whole_time)
        if out.exists():
            assert out.read_bytes() == expected
            out.unlink()
            finished += 1
    assert main(arguments("found.csv")) == 0
    assert (data / "found.csv").read_bytes() == expected
    assert not list(data.glob("*.part.jsonl"))
    print(f"tables finished in between: {finished} of {kills('detect')}")
