"""`register labels`: label maps of a few images carried to all others."""

from __future__ import annotations

import pytest

from napari_landmark.cli.app import main


@pytest.fixture
def arguments(data, labels, tmp_path):
    def build(**changes):
        options = {
            "images": data / "images",
            "labels": labels,
            "out": tmp_path / "out",
            "device": "cpu",
            "steps": 3,
        }
        given = {**options, **changes}
        words = [str(word) for key, value in given.items() for word in (f"--{key}", value)]
        return ["register", "labels", *words]

    return build


def test_the_others_are_labelled(arguments, tmp_path, capsys):
    assert main(arguments()) == 0
    printed = capsys.readouterr().out
    made = sorted(path.stem for path in (tmp_path / "out").glob("*.nrrd"))
    assert made
    assert f"{len(made)} images labelled" in printed
    assert (tmp_path / "out" / "labels.csv").exists()
    assert main(arguments()) == 0  # nothing is left to do


@pytest.mark.parametrize(
    ("changes", "message"),
    [
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
