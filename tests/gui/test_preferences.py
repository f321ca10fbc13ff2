"""Settings of napari's Preferences, and the folder of caches that the terminal shares."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from napari_landmark.cli.app import main
from napari_landmark.data.cohort import cache_location
from napari_landmark.gui import preferences as module
from napari_landmark.gui.preferences import Preferences


@pytest.fixture
def read(monkeypatch, tmp_path):
    """Read the settings of a page of napari's Preferences with that folder of caches."""
    monkeypatch.undo()  # of the fixture that replaces `read` for all other tests
    monkeypatch.delenv("NAPARI_LANDMARK_CACHE", raising=False)
    monkeypatch.setattr(cache_location.platformdirs, "user_config_path", lambda *_, **__: tmp_path / "config")
    monkeypatch.setattr(cache_location.platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "system")
    monkeypatch.setattr(cache_location.tempfile, "tempdir", str(tmp_path))

    def call(section) -> Preferences:
        monkeypatch.setattr(module, "_section", lambda: section)
        return Preferences.read()

    return call


def page(folder: str) -> SimpleNamespace:
    return SimpleNamespace(cache_folder=folder, device="cpu", working_resolution=512)


def test_the_terminal_sees_the_folder_that_was_chosen_in_the_viewer(read, tmp_path, capsys):
    chosen = tmp_path / "my caches"
    assert read(page(str(chosen))).cache == chosen
    assert main(["cache"]) == 0
    assert capsys.readouterr().out.startswith(f"{chosen}: ")
    assert read(page("")).cache == tmp_path / "system"
    assert main(["cache"]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'system'}: ")


def test_a_script_without_napari_changes_no_choice(read, tmp_path):
    read(page(str(tmp_path / "chosen")))
    assert read(None) == Preferences("auto", 768, tmp_path / "chosen")
