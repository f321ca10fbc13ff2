"""The terminal: every mistake gets one clear line and status 2, and leaves nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_landmark.cli import app as cli
from napari_landmark.cli.app import main
from napari_landmark.data.errors import InputError
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import can_resume, load_model

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def refused(capsys):
    """Runs a command that must be refused; gives its one line."""

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        err = capsys.readouterr().err
        assert code == 2, err
        last = err.strip().splitlines()[-1]
        assert last.startswith("napari-landmark: ")
        assert "Traceback" not in err
        return last

    return run


@pytest.fixture
def train_options(data, tmp_path):
    """The options of a good `train` command, as a list that can be changed."""

    def options(**changes):
        given = {
            "images": data / "images",
            "template": data / "images" / "hand_000.png",
            "landmarks": data / "template.csv",
            "out": tmp_path / "study",
            "device": "cpu",
            **changes,
        }
        return [
            part for key, value in given.items() if value is not None for part in (f"--{key}", str(value))
        ]

    return options


def rows(path, *lines):
    path.write_text("\n".join(["image,landmark,x,y", *lines]) + "\n")


class TestTrainRefuses:
    @pytest.fixture
    def untouched(self, tmp_path):
        """Nothing may be left of a study."""
        yield
        assert not (tmp_path / "study").exists()

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            (
                ["hand_000.png,wrist,500,20"],
                "hand_000.png: landmark 'wrist' at (500, 20) lies outside the image",
            ),
            (["hand_000.png,wrist,20,-5"], "landmark 'wrist' at (20, -5) lies outside"),
            (
                ["hand_000.png,a,20,20", "hand_000.png,a,21,20"],
                "line 3: landmark 'a' of image 'hand_000.png' is there",
            ),
            (["hand_000.png,a,nan,20"], "line 2: x is 'nan': expected a number"),
            (["hand_000.png,a,inf,20"], "line 2: x is 'inf': expected a number"),
            (["hand_000.png,a,left,20"], "line 2: x is 'left': expected a number"),
            (["hand_000.png,a,20,"], "line 2: landmark 'a' has x and no y"),
            (["hand_000.png,a,,"], "no landmark of hand_000.png has a position"),
            (["other.png,a,20,20"], "has no rows for the template hand_000.png (it has other.png)"),
            ([], "has column titles and no landmarks"),
        ],
    )
    @pytest.mark.usefixtures("untouched")
    def test_landmarks(self, refused, train_options, data, lines, message):
        rows(data / "template.csv", *lines)
        line = refused("train", *train_options())
        assert message in line
        assert "hand_000.png" in line or "template.csv" in line

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "template.csv: is empty"),
            ("image,landmark,x\nhand_000.png,a,2\n", "no column 'y'"),
            ("image,landmark,x,y,z\nhand_000.png,a,20,20,3\n", "has 3 coordinates and the image 2 axes"),
            ("\0\0\0", "template.csv"),
        ],
    )
    @pytest.mark.usefixtures("untouched")
    def test_a_table_that_is_none(self, refused, train_options, data, content, message):
        (data / "template.csv").write_text(content)
        assert message in refused("train", *train_options())

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"template": "nothing.png"}, "nothing.png: there is no such file; --template names"),
            ({"landmarks": "nothing.csv"}, "nothing.csv: there is no such file"),
            ({"landmarks": "table.xlsx"}, "table.xlsx: not a known landmark format"),
            ({"images": "nothing"}, "nothing: there is no such folder; --images"),
            ({"images": None}, "give --images DIR, --template FILE and --landmarks CSV"),
            ({"template": None, "landmarks": None}, "give --images DIR, --template FILE and --landmarks CSV"),
            ({"template": None}, "--landmarks needs --template FILE"),
            ({"landmarks": None}, "--template needs --landmarks CSV"),
            ({"minutes": 0}, "minutes 0.0: must be a number above 0; change --minutes"),
            ({"minutes": -3}, "minutes -3.0: must be a number above 0; change --minutes"),
            ({"minutes": "nan"}, "minutes nan: must be a number above 0; change --minutes"),
            ({"minutes": "many"}, "--minutes"),
            ({"device": "tpu"}, "device 'tpu' is unknown: choose auto, cpu, cuda or mps"),
            ({"device": "cpu:x"}, "device 'cpu:x' is unknown"),
            ({"spacing": "nan"}, "--spacing"),
            ({"spacing": -0.1}, "--spacing"),
            ({"spacing": 0}, "--spacing"),
            ({"seed": "x"}, "--seed"),
            ({"out": None}, "--out"),
        ],
    )
    @pytest.mark.usefixtures("untouched")
    def test_options(self, refused, train_options, changes, message):
        assert message in refused("train", *train_options(**changes))

    @pytest.mark.usefixtures("untouched")
    def test_an_empty_folder(self, refused, train_options, tmp_path, data):
        (tmp_path / "empty").mkdir()
        # The template from elsewhere alone would be a cohort of one image.
        options = train_options(images=tmp_path / "empty", template=tmp_path / "empty" / "x.png")
        assert "x.png: there is no such file" in refused("train", *options)

    @pytest.mark.usefixtures("untouched")
    def test_a_template_that_cannot_be_read(self, refused, train_options, data):
        (data / "images" / "hand_000.png").write_bytes(b"\x89PNG nonsense")
        line = refused("train", *train_options())
        assert "hand_000.png" in line

    @pytest.mark.usefixtures("untouched")
    def test_nothing_to_resume(self, refused, train_options):
        assert "has no interrupted training to resume" in refused("train", *train_options(), "--resume")

    def test_a_finished_training_cannot_be_resumed(self, refused, study):
        line = refused("train", "--out", study.folder, "--resume", "--device", "cpu")
        assert "has no interrupted training to resume; leave out --resume" in line

    def test_a_study_that_is_a_file(self, refused, train_options, tmp_path):
        (tmp_path / "x").write_text("")
        assert "x: is a file" in refused("train", *train_options(out=tmp_path / "x"))
        assert "is a file" in refused("train", *train_options(out=tmp_path / "x" / "y"))

    def test_a_study_that_may_not_be_written(self, refused, train_options, tmp_path, monkeypatch):
        honest = os.access
        monkeypatch.setattr(os, "access", lambda path, mode, **o: mode != os.W_OK and honest(path, mode, **o))
        assert "choose a folder you may write to" in refused("train", *train_options())
        assert not (tmp_path / "study").exists()

    def test_a_full_disk(self, refused, train_options, monkeypatch):
        def full(self, *arguments, **options):
            raise OSError(28, "No space left on device", "/some/where")

        monkeypatch.setattr(Study, "log", full)
        assert "/some/where: No space left on device" in refused("train", *train_options())

    def test_an_unknown_landmark(self, refused, study, data):
        rows(data / "more.csv", "hand_001.png,elbow,20,20")
        line = refused(
            "train",
            "--out",
            study.folder,
            "--template",
            data / "images" / "hand_001.png",
            "--landmarks",
            data / "more.csv",
        )
        assert "more.csv, line 2: unknown landmark 'elbow': the landmarks are" in line
        assert set(study.annotations()) == {"hand_000.png"}

    def test_a_mistake_can_be_put_right(self, refused, train_options, data):
        good = (data / "template.csv").read_text()
        rows(data / "template.csv", "hand_000.png,wrong name,500,500")
        refused("train", *train_options())
        (data / "template.csv").write_text(good)
        assert main(["train", *train_options()]) == 0


def test_a_folder_of_all_sorts(data, train_options, capsys):
    folder, rng = data / "images", np.random.default_rng(0)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    (folder / "notes.txt").write_text("hello")
    Image.fromarray(rng.integers(0, 255, (90, 60, 3), dtype=np.uint8)).save(folder / "photo.jpg")
    Image.fromarray(rng.integers(0, 60000, (50, 80)).astype(np.uint16)).save(folder / "deep.tif")
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(folder / "dot.png")
    assert main(["train", *train_options()]) == 0
    out, err = capsys.readouterr()
    left_out = [line for line in err.splitlines() if line.startswith("left out: ")]
    assert [line.split(": ")[1] for line in left_out] == ["broken.png", "dot.png", "notes.txt"]
    assert all(
        line.count(name) == 1
        for line, name in zip(left_out, ("broken.png", "dot.png", "notes.txt"), strict=True)
    )
    assert "6 images" in out
    study = data.parent / "study"
    arguments = ["--images", str(folder), "--out", str(data / "found.csv"), "--device", "cpu"]
    assert main(["detect", str(study), *arguments]) == 0
    out, err = capsys.readouterr()
    left_out = [line.split(": ")[1] for line in err.splitlines() if line.startswith("left out")]
    assert sorted(left_out) == ["broken.png", "dot.png", "notes.txt"]
    assert "6 images" in out


class TestDetectRefuses:
    @pytest.fixture
    def options(self, study, data, tmp_path):
        def options(**changes):
            given = {
                "study": study.folder, "images": data / "images", "out": tmp_path / "found.csv", "device": "cpu",
                **changes,
            }  # fmt: skip
            named = [part for key, value in given.items() if key != "study" for part in (f"--{key}", value)]
            return [given["study"], *named]

        return options

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"study": "nothing"}, "nothing: is not a study: it has no study.json"),
            ({"images": "nothing"}, "nothing: there is no such folder"),
            (
                {"out": "found.xlsx"},
                "found.xlsx: landmarks are written as CSV; give a name that ends in .csv",
            ),
            ({"device": "tpu"}, "device 'tpu' is unknown"),
            ({"spacing": "nan"}, "--spacing"),
            ({"spacing": "-1"}, "--spacing"),
        ],
    )
    def test_options(self, refused, options, tmp_path, changes, message):
        assert message in refused("detect", *options(**changes))
        assert not (tmp_path / "found.csv").exists()

    def test_folders_and_files_mistaken(self, refused, options, tmp_path):
        (tmp_path / "a.csv").mkdir()
        (tmp_path / "file").write_text("")
        assert "is a folder" in refused("detect", *options(out=tmp_path / "a.csv"))
        assert "is a file" in refused("detect", *options(out=tmp_path / "file" / "a.csv"))
        assert "is a file" in refused("detect", *options(heatmaps=tmp_path / "file"))

    def test_an_empty_folder(self, refused, options, tmp_path):
        (tmp_path / "empty").mkdir()
        assert "empty: holds no image that can be used; choose" in refused(
            "detect", *options(images=tmp_path / "empty")
        )

    def test_a_study_without_a_model(self, refused, options, study):
        shutil.rmtree(study.models_dir)
        line = refused("detect", *options())
        assert str(study.folder) in line
        assert "no trained model yet; run `napari-landmark train` first" in line

    @pytest.mark.parametrize("name", ["model.json", "embedding.safetensors", "detector.safetensors"])
    def test_a_damaged_model(self, refused, options, study, name):
        (study.models_dir / "001" / name).write_bytes(b"nonsense")
        assert name in refused("detect", *options())

    def test_a_study_of_a_newer_version(self, refused, options, study):
        path = study.folder / "study.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
        assert "newer version" in refused("detect", *options())


class TestEvaluate:
    def test_a_table(self, data, capsys):
        assert main(["evaluate", str(data / "truth.csv"), str(data / "truth.csv")]) == 0
        assert "100.0%" in capsys.readouterr().out

    def test_json(self, data, capsys):
        truth = str(data / "truth.csv")
        assert main(["evaluate", truth, truth, "--json", "--spacing", "0.5", "--radii", "1,2.5"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert set(result) == {
            "mre_mm", "mre_px", "median_px", "sdr", "per_landmark", "n_images", "n_landmarks", "n_missing",
        }  # fmt: skip
        assert result["mre_mm"] == 0
        assert result["sdr"] == {"1": 100.0, "2.5": 100.0}
        assert main(["evaluate", truth, truth, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["mre_mm"] is None

    def test_images_without_prediction_are_named(self, data, capsys):
        main(["evaluate", str(data / "template.csv"), str(data / "truth.csv")])
        err = capsys.readouterr().err
        assert "hand_002.png: is in the truth, but nothing was predicted in it" in err

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--radii", "nonsense"], "--radii nonsense: give numbers with commas between"),
            (["--radii", "2,-1"], "a radius of -1"),
            (["--radii", "nan"], "a radius of nan"),
            (["--radii", ""], "--radii"),
            (["--spacing", "nan"], "--spacing"),
            (["--spacing", "-0.1"], "--spacing"),
            (["--nonsense"], "--nonsense"),
        ],
    )
    def test_options(self, refused, data, options, message):
        assert message in refused("evaluate", data / "truth.csv", data / "truth.csv", *options)

    def test_no_common_images(self, refused, data):
        rows(data / "other.csv", "elsewhere.png,index_tip,3,4")
        line = refused("evaluate", data / "other.csv", data / "truth.csv")
        assert "'elsewhere.png'" in line
        assert "hand_000.png" in line

    def test_no_common_landmarks(self, refused, data):
        rows(data / "other.csv", "hand_000.png,elbow,3,4")
        assert "'elbow'" in refused("evaluate", data / "other.csv", data / "truth.csv")

    def test_a_missing_table(self, refused, data):
        assert "none.csv: there is no such file" in refused("evaluate", data / "none.csv", data / "truth.csv")


class TestMain:
    def test_help(self, capsys):
        assert main(["--help"]) == 0
        out = capsys.readouterr().out
        assert all(command in out for command in ("train", "detect", "evaluate", "demo", "info"))

    def test_info(self, capsys):
        assert main(["info"]) == 0
        assert "torch" in capsys.readouterr().out

    def test_without_a_command(self, capsys):
        assert main([]) == 2
        assert "train" in capsys.readouterr().out

    def test_an_unknown_command(self, refused):
        assert "nonsense" in refused("nonsense")

    def test_a_message_of_several_lines_becomes_one(self, refused, monkeypatch, data):
        def fail(*arguments):
            raise InputError("first\nsecond")

        monkeypatch.setattr("napari_landmark.cli.evaluate.read_landmarks", fail)
        assert refused("evaluate", data / "truth.csv", data / "truth.csv") == "napari-landmark: first second"

    def test_an_interrupt_anywhere(self, monkeypatch, capsys):
        def interrupted(**options):
            raise KeyboardInterrupt

        monkeypatch.setattr(cli, "app", interrupted)
        assert main(["info"]) == 130
        assert "stopped" in capsys.readouterr().err

    def test_as_a_program_it_exits(self, monkeypatch):
        monkeypatch.setattr(sys, "argv", ["napari-landmark", "evaluate", "none.csv", "none.csv"])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 2


DRIVER = """
import dataclasses, sys
import torch
from napari_landmark.learning import device
from napari_landmark.detection.training import options as options_module
from napari_landmark.detection.training import train as pipeline
from napari_landmark.detection.training import stages
from napari_landmark.detection.refinement.patch_embedding import PatchEmbeddingConfig
from napari_landmark.detection.embedding.embedding import EmbeddingConfig

device.available_cores = lambda: 1
stages.embedding_config = lambda canvas: EmbeddingConfig(2, 1, size=8, channels=(8, 8, 8, 8, 8))
PatchEmbeddingConfig.for_canvas = lambda canvas: PatchEmbeddingConfig(2, 32, size=8, channels=(8, 8, 8, 8, 8))
default, checkpoint = options_module.default_options, stages.Checkpoint
options_module.default_options = lambda device, **options: dataclasses.replace(
    default(device, **options), self_steps=100_000
)
stages.Checkpoint = lambda path, resume: checkpoint(path, resume, interval=0.0)
from napari_landmark.cli.app import main

main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
class TestSignals:
    """A training in a process of its own: a hundred thousand steps, with a checkpoint after each."""

    @pytest.fixture
    def training(self, tmp_path, train_options):
        (tmp_path / "driver.py").write_text(DRIVER)
        process = subprocess.Popen(
            [sys.executable, str(tmp_path / "driver.py"), "train", *train_options()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=Path(cli.__file__).parents[1],
        )
        checkpoint = tmp_path / "study" / "models" / "001" / "checkpoint-self.safetensors"
        end = time.monotonic() + 120
        while not checkpoint.exists() and time.monotonic() < end and process.poll() is None:
            time.sleep(0.05)
        assert checkpoint.exists(), (
            process.communicate(timeout=5)[0] if process.poll() is not None else "too slow"
        )
        yield process
        process.kill()
        process.communicate()

    def resume(self, tmp_path):
        code = main(
            ["train", "--out", str(tmp_path / "study"), "--resume", "--minutes", "0.01", "--device", "cpu"]
        )
        assert code == 0
        study = Study.open(tmp_path / "study")
        assert not can_resume(study)
        assert len(study.predictions()) == 4
        assert [path.name for path in study.models_dir.iterdir()] == ["001"]
        return json.loads((study.models_dir / "001" / "history.json").read_text())

    def test_an_interrupt_leaves_a_usable_model_and_can_be_resumed(self, training, tmp_path, phantoms):
        training.send_signal(signal.SIGINT)
        output, _ = training.communicate(timeout=60)
        assert training.returncode == 130, output
        assert "go on with: napari-landmark train --out" in output
        study = Study.open(tmp_path / "study")
        found = load_model(study, device="cpu").detect(phantoms[1].image).landmarks
        assert np.isfinite(found.positions()).all()
        assert (study.report_dir / "report.html").exists()
        history = self.resume(tmp_path)
        assert history["cancelled"] is False
        assert history["stages"][0]["steps"] >= 1

    def test_a_killed_training_goes_on_from_its_checkpoint(self, training, tmp_path):
        training.kill()
        training.communicate(timeout=60)
        study = Study.open(tmp_path / "study")
        with pytest.raises(InputError, match="no trained model yet"):
            load_model(study)
        assert can_resume(study)
        history = self.resume(tmp_path)
        assert history["stages"][0]["steps"] >= 1
