"""The demonstration: its order of work, with small data and a short training."""

from __future__ import annotations

import pytest

from napari_landmark.cli.demo import run_demo
from napari_landmark.data.errors import InputError
from napari_landmark.detection.embedding.embedding import EmbeddingConfig
from napari_landmark.detection.training import stages
from napari_landmark.synthetic import hand_phantom, sample


@pytest.fixture
def _small(monkeypatch, small_close_ups):
    monkeypatch.setattr(sample, "TRAINING_IMAGES", 2)
    monkeypatch.setattr(sample, "HELD_OUT_IMAGES", 1)
    monkeypatch.setattr(sample, "hand_phantom", lambda seed: hand_phantom(seed, size=(64, 64)))
    small = EmbeddingConfig(2, 1, size=8, channels=(8, 8, 8, 8, 8))
    monkeypatch.setattr(stages, "embedding_config", lambda canvas: small)


@pytest.mark.usefixtures("_small")
def test_draws_trains_detects_and_evaluates(tmp_path, capsys):
    run_demo(tmp_path / "demo", device="cpu", minutes=0.01)
    out = capsys.readouterr().out
    assert "mean radial error" in out
    assert (tmp_path / "demo" / "heldout.csv").exists()
    assert (tmp_path / "demo" / "study" / "report" / "report.html").exists()
    assert list((tmp_path / "demo" / "heatmaps").glob("*.png"))
    with pytest.raises(InputError, match="holds an earlier demo"):
        run_demo(tmp_path / "demo", device="cpu", minutes=0.01)
