"""`detect`: the table it writes, and what it refuses before the work."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk

from napari_landmark.cli.app import main
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.landmarks import Status
from napari_landmark.detection.inference import detect as images
from napari_landmark.detection.inference import folder as detection


@pytest.fixture
def detect(study, data, tmp_path):
    def run(*options, out="found.csv"):
        arguments = ["--images", str(data / "images"), "--out", str(tmp_path / out), "--device", "cpu"]
        return main(["detect", str(study.folder), *arguments, *options])

    return run


def test_a_table_of_all_images(detect, tmp_path, capsys):
    assert detect() == 0
    found = read_landmarks(tmp_path / "found.csv")
    assert list(found) == [f"hand_00{k}.png" for k in range(4)]
    assert all(mark.status is Status.PREDICTED for marks in found.values() for mark in marks.values())
    assert "4 images" in capsys.readouterr().out
    with (tmp_path / "found.poses.csv").open(newline="") as stream:
        poses = list(csv.DictReader(stream))
    assert [row["image"] for row in poses] == list(found)
    assert {row["mirrored"] for row in poses} <= {"yes", "no"}


def test_further_subjects_are_said_and_stand_in_the_table(detect, tmp_path, monkeypatch, capsys):
    whole = detection.detect_images

    def several(*arguments, **options):
        found = whole(*arguments, **options)
        found.further_subjects["hand_001.png"] = (found.landmarks["hand_000.png"],)
        return found

    monkeypatch.setattr(detection, "detect_images", several)
    assert detect() == 0
    assert "such as 'hand_001.png (subject 2)'" in capsys.readouterr().err
    found = read_landmarks(tmp_path / "found.csv")
    assert list(found)[1:3] == ["hand_001.png", "hand_001.png (subject 2)"]
    assert found["hand_001.png (subject 2)"] == found["hand_000.png"]
    record = json.loads((tmp_path / "found.csv.run.json").read_text())
    assert (record["images"]["count"], record["images"]["further_subjects"]) == (4, 1)


def test_millimetres_where_a_spacing_is_given(detect, tmp_path):
    def rows(name):
        with (tmp_path / name).open(newline="") as stream:
            return list(csv.DictReader(stream))

    assert detect(out="a.csv") == 0
    assert detect("--spacing", "0.5", out="b.csv") == 0
    assert all(row["x_mm"] == "" for row in rows("a.csv"))
    plain, scaled = rows("a.csv"), rows("b.csv")
    for one, two in zip(plain, scaled, strict=True):
        assert float(two["x_mm"]) == pytest.approx(float(two["x"]) * 0.5, abs=1e-4)
        assert float(two["expected_error_mm"]) == pytest.approx(
            float(two["expected_error_px"]) * 0.5, abs=1e-4
        )
        np.testing.assert_allclose(float(one["x"]), float(two["x"]), atol=1e-3)


def test_the_spacing_of_the_study(detect, study, tmp_path):
    study.update(spacing=0.25)
    assert detect() == 0
    with (tmp_path / "found.csv").open(newline="") as stream:
        row = next(csv.DictReader(stream))
    assert float(row["x_mm"]) == pytest.approx(float(row["x"]) * 0.25, abs=1e-4)


def test_the_spacing_of_a_file_precedes_that_of_the_study(detect, study, data, tmp_path, capsys):
    study.update(spacing=0.25)
    image = sitk.ReadImage(str(data / "images" / "hand_001.png"), sitk.sitkUInt8)
    image.SetSpacing((0.1, 0.1))
    sitk.WriteImage(image, str(data / "images" / "hand_001.nrrd"))
    (data / "images" / "hand_001.png").unlink()
    assert detect() == 0
    with (tmp_path / "found.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        own = row["image"] == "hand_001.nrrd"
        assert float(row["x_mm"]) == pytest.approx(float(row["x"]) * (0.1 if own else 0.25), abs=1e-4)
        assert row["spacing_source"] == ("file" if own else "user")
    line = "warning: 1 images, such as hand_001.nrrd, state 0.1 x 0.1 mm a pixel in their files and the study 0.25 mm"
    assert line in capsys.readouterr().err
    assert detect("--spacing", "0.5") == 0
    assert "warning" not in capsys.readouterr().err
    with (tmp_path / "found.csv").open(newline="") as stream:
        assert {row["spacing_source"] for row in csv.DictReader(stream)} == {"user"}


def test_into_a_folder_that_is_not_there_yet(detect, tmp_path):
    assert detect("--heatmaps", str(tmp_path / "new" / "heat"), out="new/found.csv") == 0
    assert (tmp_path / "new" / "found.csv").exists()
    assert len(list((tmp_path / "new" / "heat").iterdir())) == 8


def test_stopped(detect, tmp_path, monkeypatch, capsys):
    honest = detection.detect_folder

    def stopped(*arguments, progress, cancel, **options):
        return honest(*arguments, progress=lambda event: cancel.cancel(), cancel=cancel, **options)

    monkeypatch.setattr(detection, "detect_folder", stopped)
    assert detect() == 130
    assert not (tmp_path / "found.csv").exists()
    assert "was not written" in capsys.readouterr().err


class TestInterrupted:
    """Going on skips what was done, and gives the same table to the last byte."""

    @pytest.mark.parametrize("options", [(), ("--heatmaps", "{folder}/heat")])
    def test_the_same_command_goes_on(self, detect, tmp_path, monkeypatch, capsys, options):
        options = [option.format(folder=tmp_path) for option in options]
        assert detect(*options, out="whole.csv") == 0
        honest, looked_at = detection.detect_folder, []

        def stopped(*arguments, progress, cancel, **more):
            def after_two(event):
                if event.fraction >= 0.5:
                    cancel.cancel()

            return honest(*arguments, progress=after_two, cancel=cancel, **more)

        monkeypatch.setattr(detection, "detect_folder", stopped)
        assert detect(*options) == 130
        assert "the same command goes on after the 2 images done" in capsys.readouterr().err
        monkeypatch.setattr(detection, "detect_folder", honest)
        read = images.read_image
        monkeypatch.setattr(
            images, "read_image", lambda path, **more: looked_at.append(path.name) or read(path, **more)
        )
        assert detect(*options) == 0
        assert "2 images were done before the interruption" in capsys.readouterr().out
        assert looked_at == ["hand_002.png", "hand_003.png"]
        assert (tmp_path / "found.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
        assert not list(tmp_path.glob("*.part*"))

    def test_what_made_the_table_stands_beside_it(self, detect, study, tmp_path, data):
        from napari_landmark.data.cohort.cohort import Cohort

        assert detect() == 0
        record = json.loads((tmp_path / "found.csv.run.json").read_text())
        assert record["images"]["fingerprint"] == Cohort.from_folder(data / "images").fingerprint()
        assert record["model"]["training"]["options"]["seed"] == 0
        assert record["spacing"] == {"unknown": 4}
        assert str(tmp_path) not in json.dumps(record)
