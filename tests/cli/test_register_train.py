"""`register train`: a usable model, also after Ctrl-C, and mistakes found before anything is written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_landmark.cli.app import main
from napari_landmark.cli.register_train import parse_region_weights
from napari_landmark.data.errors import InputError

pytestmark = pytest.mark.usefixtures("two_steps")


@pytest.fixture
def arguments(data, labels, tmp_path):
    """The command with its options; keyword arguments replace them or, as None, take them out."""

    def build(*flags, **changes):
        options = {
            "images": data / "images", "labels": labels, "out": tmp_path / "model", "device": "cpu", **changes
        }  # fmt: skip
        given = [part for key, value in options.items() if value is not None for part in (f"--{key}", value)]
        return [str(part) for part in ("register", "train", *given, *flags)]

    return build


def test_a_model_from_a_few_label_maps(arguments, tmp_path, capsys):
    from napari_landmark.registration.model import RegistrationModel

    assert main(arguments("--region-weight", "3=2.5", spacing=0.5)) == 0
    out = capsys.readouterr().out
    assert "4 images at 64 x 64 pixels, label maps of 2 of them, device cpu" in out
    assert "training for 2 steps" in out
    assert "regions: 1, 2, 3" in out
    model = RegistrationModel.load(tmp_path / "model")
    assert 3 in model.labels
    record = json.loads((tmp_path / "model" / "model.json").read_text())["training"]
    assert record["options"]["weights"]["regions"] == {"3": 2.5}
    assert record["labelled"] == ["hand_000.png", "hand_001.png"]


def test_again_into_the_same_folder(arguments):
    assert main(arguments()) == 0
    assert main(arguments()) == 0


def test_stopped_and_resumed(arguments, tmp_path, monkeypatch, capsys):
    from napari_landmark.registration.model import RegistrationModel
    from napari_landmark.registration.training import train as training

    honest = training.train_registration

    def stopped(*given, cancel, **options):
        cancel.cancel()
        return honest(*given, cancel=cancel, **options)

    monkeypatch.setattr(training, "train_registration", stopped)
    assert main(arguments()) == 130
    assert "can be used, with what was learned so far" in capsys.readouterr().out
    assert RegistrationModel.load(tmp_path / "model").labels
    monkeypatch.setattr(training, "train_registration", honest)
    assert main(arguments("--resume")) == 0
    assert "going on with the interrupted training" in capsys.readouterr().out


def test_files_that_are_left_out(arguments, data, capsys):
    (data / "images" / "broken.png").write_bytes(b"nothing")
    assert main(arguments()) == 0
    assert "left out: broken.png: is not a picture" in capsys.readouterr().err


class TestRefuses:
    @pytest.fixture(autouse=True)
    def _untouched(self, tmp_path):
        yield
        assert not (tmp_path / "model").exists()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"images": "nothing"}, "nothing: there is no such folder; --images"),
            ({"labels": "nothing"}, "nothing: there is no such folder; --labels"),
            ({"labels": None}, "--labels"),
            ({"out": None}, "--out"),
            ({"minutes": 0}, "minutes 0.0: must be a number above 0; change --minutes"),
            ({"minutes": "nan"}, "minutes nan: must be a number above 0; change --minutes"),
            ({"spacing": -1}, "--spacing"),
            ({"device": "tpu"}, "device 'tpu' is unknown"),
            ({"region-weight": "3"}, "--region-weight 3: give LABEL=WEIGHT"),
            (
                {"region-weight": "99=2"},
                "region weight 99=2: no label map has the label 99 (there are 1, 2",
            ),
        ],
    )
    def test_options(self, refused, arguments, changes, message):
        assert message in refused(*arguments(**changes))

    def test_nothing_to_resume(self, refused, arguments):
        assert "has no interrupted training to resume" in refused(*arguments("--resume"))

    def test_label_maps_of_other_images(self, refused, arguments, labels):
        for number in (0, 1):
            (labels / f"hand_00{number}.png").rename(labels / f"foot_00{number}.png")
        assert "labels: none of its files is called like an image of" in refused(*arguments())

    def test_images_as_label_maps(self, refused, arguments, data):
        assert "hand_000.png: holds " in refused(*arguments(labels=data / "images"))

    def test_a_label_map_of_another_size(self, refused, arguments, labels):
        Image.fromarray(np.zeros((30, 40), np.uint8)).save(labels / "hand_001.png")
        assert "labels/hand_001.png: has 40 x 30 pixels and its image 64 x 64" in refused(*arguments())

    def test_a_single_image(self, refused, arguments, data):
        for number in (1, 2, 3):
            (data / "images" / f"hand_00{number}.png").unlink()
        assert "registration needs at least two" in refused(*arguments())

    def test_no_images(self, refused, arguments, tmp_path):
        (tmp_path / "empty").mkdir()
        assert "holds no images" in refused(*arguments(images=tmp_path / "empty"))


class TestWhereToWrite:
    def test_not_among_other_files(self, refused, arguments, data):
        before = sorted(path.name for path in (data / "images").iterdir())
        assert "holds other files; give a new folder" in refused(*arguments(out=data / "images"))
        assert sorted(path.name for path in (data / "images").iterdir()) == before

    def test_not_into_a_study(self, refused, arguments, study):
        assert "is a study with landmarks" in refused(*arguments(out=study.folder))

    def test_not_over_a_file(self, refused, arguments, data):
        assert "is a file; choose another name" in refused(*arguments(out=data / "truth.csv"))


class TestRegionWeights:
    def test_are_numbers(self):
        assert parse_region_weights(["3=2.5", " 4 = 0"]) == {3: 2.5, 4: 0}
        assert parse_region_weights([]) == {}

    @pytest.mark.parametrize(
        "text", ["3", "3=", "=2", "a=2", "3=b", "0=1", "-1=1", "3=-1", "3=nan", "3=inf", "3.5=1"]
    )
    def test_mistakes(self, text):
        with pytest.raises(InputError, match=f"--region-weight {text}: give LABEL=WEIGHT"):
            parse_region_weights([text])

    def test_twice(self):
        with pytest.raises(InputError, match="label 3 has a weight already"):
            parse_region_weights(["3=1", "3=2"])


def test_the_folder_of_a_model_may_be_moved(arguments, tmp_path):
    from napari_landmark.registration.model import RegistrationModel

    assert main(arguments()) == 0
    shutil.move(tmp_path / "model", tmp_path / "elsewhere")
    assert RegistrationModel.load(tmp_path / "elsewhere").labels


@pytest.mark.slow
def test_torchrun_trains_one_model_with_several_processes(arguments, tmp_path):
    from napari_landmark.registration.model import RegistrationModel

    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "napari_landmark"]
    run = subprocess.run(
        [*words, *arguments(minutes=0.03)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("device cpu (1 thread) in each of 2 processes") == 1
    assert run.stdout.count("trained in") == 1
    record = json.loads((tmp_path / "model" / "model.json").read_text())["training"]
    assert record["processes"] == 2
    assert record["history"]["steps"] > 0
    RegistrationModel.load(tmp_path / "model")
    assert not (tmp_path / "model" / "checkpoint.safetensors").exists()
