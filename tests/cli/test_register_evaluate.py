"""`register evaluate`: one JSON object or a table, judged by label maps and landmarks of the pairs."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from napari_landmark.cli.app import main
from napari_landmark.registration.pairwise import register as pair_module
from napari_landmark.registration.pairwise.header_alignment import header_alignment


@pytest.fixture
def arguments(data, labels, tmp_path, registration_model):
    (data / "pairs.csv").write_text("fixed,moving\nhand_000.png,hand_001.png\nhand_002.png,hand_001.png\n")

    def build(*flags, **changes):
        options = {
            "model": registration_model,
            "images": data / "images",
            "pairs": data / "pairs.csv",
            "labels": labels,
            "landmarks": data / "truth.csv",
            "device": "cpu",
            "steps": 0,
            **changes,
        }
        given = [part for key, value in options.items() if value is not None for part in (f"--{key}", value)]
        return [str(part) for part in ("register", "evaluate", *given, *flags)]

    return build


def test_one_json_object(arguments, capsys):
    assert main(arguments("--json", spacing=0.5)) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {
        "dice_before", "dice", "dice_per_label", "tre_before_mm", "tre_mm", "tre_before_px", "tre_px",
        "folding_percent", "seconds_per_pair", "n_pairs",
    }  # fmt: skip
    assert result["n_pairs"] == 2
    assert result["tre_mm"] == pytest.approx(result["tre_px"] / 2)
    assert 0 <= result["dice"] <= 1
    assert "1" in result["dice_per_label"]


def test_a_table(arguments, capsys):
    assert main(arguments()) == 0
    out = capsys.readouterr().out
    assert "2 pairs, 1 with label maps" in out
    assert "landmark error, px" in out
    assert "  label 1" in out


def test_neither_labels_nor_landmarks(arguments, capsys):
    assert main(arguments("--json", labels=None, landmarks=None)) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["dice"], result["tre_px"], result["dice_per_label"]) == (None, None, {})
    assert main(arguments(labels=None, landmarks=None)) == 0
    assert "Dice" not in capsys.readouterr().out


def test_the_model_sees_the_images_alone(arguments, monkeypatch, capsys):
    seen = []

    def spy(fixed, moving, **options):
        seen.append((fixed.name, moving.name, set(options), options["options"].steps))
        assert options["options"].weights is None  # those of the model
        return SimpleNamespace(transform=header_alignment(fixed.geometry, moving.geometry), seconds=0.25)

    monkeypatch.setattr(pair_module, "register_pair", spy)
    assert main(arguments("--json", steps=7)) == 0
    given = {"model", "options"}
    assert seen == [("hand_000.png", "hand_001.png", given, 7), ("hand_002.png", "hand_001.png", given, 7)]
    result = json.loads(capsys.readouterr().out)
    assert result["dice"] == result["dice_before"]
    assert result["seconds_per_pair"] == 0.25


def test_stopped(arguments, monkeypatch, capsys):
    from napari_landmark.cli import register_evaluate

    honest = register_evaluate.evaluate_registration

    def stopped(*given, cancel, **options):
        cancel.cancel()
        return honest(*given, cancel=cancel, **options)

    monkeypatch.setattr(register_evaluate, "evaluate_registration", stopped)
    assert main(arguments("--json")) == 130
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "stopped after 0 of 2 pairs" in captured.err


class TestRefuses:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"model": "nothing"}, "nothing: holds no registration model"),
            ({"images": "nothing"}, "nothing: there is no such folder; --images"),
            ({"labels": "nothing"}, "nothing: there is no such folder; --labels"),
            ({"pairs": "nothing.csv"}, "nothing.csv: there is no such file"),
            ({"landmarks": "nothing.csv"}, "nothing.csv: there is no such file"),
            ({"pairs": None}, "--pairs"),
            ({"steps": -2}, "--steps -2"),
        ],
    )
    def test_options(self, refused, arguments, changes, message):
        assert message in refused(*arguments(**changes))

    def test_an_unknown_image(self, refused, arguments, data):
        (data / "pairs.csv").write_text("fixed,moving\nhand_000.png,foot.png\n")
        assert "pairs.csv, line 2: there is no image 'foot.png'" in refused(*arguments())

    def test_label_maps_of_no_pair(self, refused, arguments, labels):
        (labels / "hand_001.png").unlink()
        assert "labels: holds the label maps of both images of no pair" in refused(*arguments())

    def test_landmarks_of_other_images(self, refused, arguments, data):
        (data / "other.csv").write_text("image,landmark,x,y\nfoot.png,a,1,2\n")
        line = refused(*arguments(landmarks=data / "other.csv"))
        assert "other.csv: has landmarks of no image of the pairs (it has foot.png)" in line

    def test_a_label_map_of_another_size(self, refused, arguments, labels):
        Image.fromarray(np.zeros((30, 40), np.uint8)).save(labels / "hand_001.png")
        assert "hand_001.png: has 40 x 30 pixels" in refused(*arguments())

    def test_a_damaged_image(self, refused, arguments, data):
        (data / "images" / "hand_001.png").write_bytes(b"nothing")
        assert "hand_001.png: is not a picture" in refused(*arguments())


@pytest.mark.parametrize("command", [["register"], ["register", "nothing"]])
def test_the_name_of_a_command_is_needed(refused, command):
    assert "command" in refused(*command).lower()
