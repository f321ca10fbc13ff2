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


def test_other_settings_are_not_mixed(arguments, capsys):
    assert main(arguments(**{"working-size": 48})) == 0
    assert main([*arguments(**{"working-size": 48}), "--any-rotation"]) == 2
    assert "any_rotation null, now true" in capsys.readouterr().err
    assert main(arguments()) == 2
    assert "working_size 48, now null" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": "nothing"}, "nothing: there is no such folder; --images"),
        ({"labels": "nothing"}, "nothing: there is no such folder; --labels"),
        ({"steps": -1}, "--steps -1"),
        ({"working-size": 8}, "--working-size 8: give 32 or more"),
        ({"model": "nothing"}, "nothing: holds no registration model"),
    ],
)
def test_mistakes_are_told(arguments, changes, message, capsys, tmp_path):
    assert main(arguments(**changes)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
