"""One model a session is kept; viewers never get each other's."""

from __future__ import annotations

import os
import threading

import pytest

from napari_landmark.detection.model import store
from napari_landmark.gui.jobs.model_cache import ModelCache, model_cache
from napari_landmark.gui.session.session import Session


@pytest.fixture
def loaded(monkeypatch):
    """Names of the models in the order in which they were loaded; loading takes a moment."""
    names = []

    def load_model(study, *, name=None, device="auto"):
        names.append(name)
        threading.Event().wait(0.02)
        return f"model {name} on {device}"

    monkeypatch.setattr(store, "load_model", load_model)
    return names


def test_the_last_one_is_kept(study, loaded):
    cache = ModelCache()
    assert cache.load(study, name="001", device="cpu") == cache.load(study, name="001", device="cpu")
    cache.load(study, name="002", device="cpu")
    cache.load(study, name="001", device="cpu")
    assert loaded == ["001", "002", "001"]


def test_another_device_or_a_changed_file_is_loaded_anew(study, loaded):
    file = study.models_dir / "001" / "model.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    cache = ModelCache()
    cache.load(study, name="001", device="cpu")
    assert cache.load(study, name="001", device="cuda") == "model 001 on cuda"
    cache.load(study, name="001", device="cuda")
    os.utime(file, ns=(1, 1))
    cache.load(study, name="001", device="cuda")
    assert loaded == ["001"] * 3


def test_sessions_do_not_share_it():
    first, second = Session(), Session()
    assert model_cache(first) is model_cache(first)
    assert model_cache(first) is not model_cache(second)


def test_threads_get_the_model_they_asked_for(study, loaded):
    cache, wrong = ModelCache(), []

    def ask(name):
        for _ in range(5):
            if cache.load(study, name=name, device="cpu") != f"model {name} on cpu":
                wrong.append(name)

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("001", "002", "003")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
