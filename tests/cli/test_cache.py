from __future__ import annotations

import shutil

import pytest

from napari_landmark.cli.app import main
from napari_landmark.data.cohort import cache_location
from napari_landmark.data.cohort.cohort import Cohort


@pytest.fixture
def cached(data, tmp_path, monkeypatch):
    """Two folders of images with their caches, of which no program has one open."""
    monkeypatch.setenv("NAPARI_LANDMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache_location.tempfile, "tempdir", str(tmp_path))
    shutil.copytree(data / "images", tmp_path / "second")
    for folder in (data / "images", tmp_path / "second"):
        Cohort.from_folder(folder)
    return tmp_path


def test_the_list_names_size_and_folder(cached, capsys):
    assert main(["cache"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{cached / 'cache'}: ")
    assert len(lines) == 5  # images and headers of two folders
    assert sum(str(cached / "second") in line for line in lines) == 2


def test_those_of_images_that_are_gone_are_removed(cached, capsys):
    shutil.rmtree(cached / "second")
    assert main(["cache"]) == 0
    assert capsys.readouterr().out.count("second (is gone)") == 2
    assert main(["cache", "--remove-unused"]) == 0
    assert "removed" in capsys.readouterr().out
    assert main(["cache"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len(lines) == 2
    assert all(str(cached / "data" / "images") in line for line in lines)


def test_all_but_those_in_use_are_removed(cached, capsys):
    opened = Cohort.from_folder(cached / "second")
    assert main(["cache", "--clear"]) == 0
    output = capsys.readouterr()
    assert output.err == f"kept, a program uses it: {cached / 'second'}\n"
    assert opened.working(0).shape == opened.canvas
    assert len(list((cached / "cache").glob("*/working-*.npy"))) == 1


def test_both_options_are_one_too_many(cached, capsys):
    assert main(["cache", "--clear", "--remove-unused"]) == 2
    assert "leave out --remove-unused" in capsys.readouterr().err
