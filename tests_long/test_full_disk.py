"""Full and read-only disks: one clear line, and earlier files stay."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from kill_worker import GEOMETRY, SCHEMA, numbered, small_trainings

from napari_landmark.cli.app import main
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import write_landmarks
from napari_landmark.data.study.study import Study
from napari_landmark.synthetic import hand_phantom

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.path.insert(0, sys.argv[2])
from kill_worker import small_trainings
small_trainings()
from napari_landmark.cli.app import main
sys.exit(main(sys.argv[3:]))
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and mounts of Linux")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of two megabytes, where this may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True
    )
    if done.returncode:
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_LANDMARK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "images").mkdir()
    for seed in range(4):
        phantom = hand_phantom(seed, size=(64, 64))
        Image.fromarray(phantom.image.array).save(tmp_path / "images" / phantom.image.name)
        if seed == 0:
            write_landmarks(tmp_path / "template.csv", {phantom.image.name: phantom.landmarks})
    return tmp_path


def train_arguments(data: Path, out: Path) -> list[str]:
    template = sorted((data / "images").iterdir())[0]
    return ["train", "--images", str(data / "images"), "--template", str(template),
            "--landmarks", str(data / "template.csv"), "--out", str(out), "--device", "cpu"]  # fmt: skip


def fill(disk: Path) -> None:
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 512)


def test_annotations_stay_when_the_disk_is_full(small_disk):
    study = Study.create(small_disk / "study", schema=SCHEMA)
    study.save_annotations("a.png", numbered(1), GEOMETRY)
    fill(small_disk)
    big = {f"{k}.png": numbered(k) for k in range(500)}
    with pytest.raises(InputError, match=r"No space left on device.*free some space; what was there"):
        write_landmarks(small_disk / "all.csv", big)
    saved = 1
    with pytest.raises(InputError, match="No space left on device"):
        for number in range(2, 1000):
            study.save_annotations(
                f"{number % 300}.png" if number % 2 else "a.png", numbered(number), GEOMETRY
            )
            saved = number if number % 2 == 0 else saved
    assert Study.open(study.folder).load_annotations("a.png") == numbered(saved)
    assert not (small_disk / "all.csv").exists()
    assert not list(small_disk.rglob(".tmp-*"))
    (small_disk / "filler").unlink()
    study.save_annotations("a.png", numbered(7), GEOMETRY)
    assert Study.open(study.folder).load_annotations("a.png") == numbered(7)


def test_a_training_on_a_full_disk(small_disk, data, capsys):
    small_trainings()
    study = small_disk / "study"
    code = main(train_arguments(data, study))
    assert code == 0, capsys.readouterr().err
    before = {
        p: p.read_bytes() for p in study.rglob("*") if p.is_file() and p.suffix in (".csv", ".safetensors")
    }
    fill(small_disk)
    assert main(["train", "--out", str(study), "--device", "cpu"]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "No space left on device" in line
    assert all(path.read_bytes() == content for path, content in before.items())
    (small_disk / "filler").unlink()
    assert main(["train", "--out", str(study), "--device", "cpu"]) == 0


@pytest.mark.parametrize("limit", [200, 3_000, 20_000, 60_000])
def test_files_that_cannot_grow(data, limit):
    """The same without mounting a file system: no file may be longer than so many bytes."""
    here = str(Path(__file__).parent)
    arguments = [sys.executable, "-c", LIMITED, str(limit), here, *train_arguments(data, data / "study")]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 2, done.stdout + done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("napari-landmark: ")
    assert "Traceback" not in done.stderr
    assert "File too large" in last or "cache" in last, last
    small_trainings()
    arguments = train_arguments(data, data / "study")
    assert main(arguments) == 0
    Study.open(data / "study").predictions()


def test_a_disk_that_cannot_be_written(small_disk, data, capsys):
    small_trainings()
    study = small_disk / "study"
    assert main(train_arguments(data, study)) == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        assert len(Study.open(study).predictions()) == 4  # reading is always allowed
        found = data / "found.csv"
        assert (
            main(
                [
                    "detect",
                    str(study),
                    "--images",
                    str(data / "images"),
                    "--out",
                    str(found),
                    "--device",
                    "cpu",
                ]
            )
            == 0
        )
        assert len(json.loads((data / "found.csv.run.json").read_text())["versions"]) > 3
        capsys.readouterr()
        for arguments in (
            ["train", "--out", str(study), "--device", "cpu"],
            ["detect", str(study), "--images", str(data / "images"), "--out", str(small_disk / "x.csv")],
            ["convert", str(found), str(small_disk / "x.json"), "--images", str(data / "images")],
        ):
            assert main(arguments) == 2
            assert "cannot be" in capsys.readouterr().err.strip().splitlines()[-1]
        with pytest.raises(InputError, match=r"cannot be (written|made)"):
            Study.open(study).save_annotations("x.png", numbered(1).__class__(Study.open(study).schema))
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
