"""`evaluate` at the terminal: a table, JSON, and one clear line for every mistake."""

from __future__ import annotations

import json

import pytest

from napari_landmark.cli.app import main

from .tables import rows


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

    def test_across_and_along_by_a_template(self, data, capsys, refused):
        truth, image = data / "truth.csv", next(data.rglob("hand_002.png"))
        assert main(["evaluate", str(truth), str(truth), "--template", str(image)]) == 0
        assert {"across", "along"} <= set(capsys.readouterr().out.splitlines()[0].split())
        line = refused("evaluate", truth, truth, "--template", image.with_name("none.png"))
        assert "has no landmarks of an image called 'none.png'" in line

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
