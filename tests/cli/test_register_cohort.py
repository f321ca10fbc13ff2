"""`register cohort`: all images of a folder to one of them."""

from __future__ import annotations

import pytest

from napari_landmark.cli.app import main


@pytest.fixture
def arguments(data, tmp_path):
    def build(**changes):
        options = {
            "images": data / "images",
            "fixed": "hand_000",
            "out": tmp_path / "out",
            "device": "cpu",
            "steps": 2,
        }
        given = {**options, **changes}
        words = [
            str(word) for key, value in given.items() if value is not None for word in (f"--{key}", value)
        ]
        return ["register", "cohort", *words]

    return build


def test_all_images_with_labels_and_landmarks(arguments, data, labels, tmp_path, capsys):
    (data / "images" / "notes.txt").write_text("no image")
    assert main(arguments(labels=labels, landmarks=data / "truth.csv")) == 0
    captured = capsys.readouterr()
    assert "3 images registered to hand_000.png" in captured.out
    assert "left out: notes.txt" in captured.err
    table = (tmp_path / "out" / "registrations.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in table] == ["image", "hand_001.png", "hand_002.png", "hand_003.png"]
    assert (tmp_path / "out" / "hand_001.png" / "warped_labels.nrrd").exists()
    assert main(arguments(labels=labels, landmarks=data / "truth.csv")) == 0  # nothing is left to do


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fixed": "nobody.png"}, "--fixed nobody.png: there is no such image"),
        ({"images": "nothing"}, "nothing: there is no such folder; --images"),
        ({"labels": "nothing"}, "nothing: there is no such folder; --labels"),
        ({"steps": -1}, "--steps -1"),
        ({"model": "nothing"}, "nothing: holds no registration model"),
    ],
)
def test_mistakes_are_told(arguments, changes, message, capsys, tmp_path):
    assert main(arguments(**changes)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
