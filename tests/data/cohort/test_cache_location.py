"""One folder for caches: of the environment, of the viewer's preferences, of the system."""

from __future__ import annotations

import sys

import pytest

from napari_landmark.data.cohort import cache_location
from napari_landmark.data.cohort.cache_location import cache_dirs, choose_cache_dir, default_cache_dir


@pytest.fixture
def unnamed(monkeypatch, tmp_path):
    """No folder is named in the environment; those of the system and of settings are the test's own."""
    monkeypatch.delenv("NAPARI_LANDMARK_CACHE", raising=False)
    monkeypatch.setattr(cache_location.platformdirs, "user_config_path", lambda *_, **__: tmp_path / "config")
    monkeypatch.setattr(cache_location.platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "system")
    monkeypatch.setattr(cache_location.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_environment_counts_most(unnamed, monkeypatch, tmp_path):
    choose_cache_dir(tmp_path / "chosen")
    monkeypatch.setenv("NAPARI_LANDMARK_CACHE", str(tmp_path / "named"))
    assert default_cache_dir() == tmp_path / "named"
    assert not {tmp_path / "chosen", tmp_path / "system"} & set(cache_dirs())


def test_the_chosen_folder_is_that_of_later_programs(unnamed):
    assert default_cache_dir() == unnamed / "system"
    choose_cache_dir(unnamed / "Größe 1")
    assert default_cache_dir() == unnamed / "Größe 1"
    assert cache_dirs()[:2] == [unnamed / "Größe 1", unnamed / "system"]
    choose_cache_dir(None)
    assert default_cache_dir() == unnamed / "system"
    assert list((unnamed / "config").iterdir()) == []


@pytest.mark.parametrize("content", ["", "[]", "{", '{"cache_folder": 3}', '{"cache_folder": "relative"}'])
def test_a_damaged_file_is_no_choice(unnamed, content):
    (unnamed / "config").mkdir()
    (unnamed / "config" / "preferences.json").write_text(content)
    assert default_cache_dir() == unnamed / "system"
    choose_cache_dir(unnamed / "new")
    assert default_cache_dir() == unnamed / "new"


def test_a_choice_that_cannot_be_written_is_told_and_no_error(unnamed, caplog):
    (unnamed / "config").write_text("a file where the folder should be")
    choose_cache_dir(unnamed / "chosen")
    assert default_cache_dir() == unnamed / "system"
    assert "is not remembered" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_the_folder_of_linux(monkeypatch, tmp_path):
    monkeypatch.delenv("NAPARI_LANDMARK_CACHE")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "napari-landmark"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "napari-landmark"
    choose_cache_dir(tmp_path / "chosen")
    assert (tmp_path / "config" / "napari-landmark" / "preferences.json").exists()
