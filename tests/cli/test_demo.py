"""The demonstration: its order of work, with small data and a short training."""

from __future__ import annotations

import pytest

from napari_landmark.cli.demo import run_demo
from napari_landmark.data.errors import InputError
from napari_landmark.detection.embedding.embedding import EmbeddingConfig
from napari_landmark.detection.training import stages
from napari_landmark.detection.volumes import atlas, pose_search
from napari_landmark.synthetic import hand_phantom, head_phantom, sample, volume_sample


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
    assert (tmp_path / "demo" / "study" / "report" / "001" / "report.html").exists()
    assert list((tmp_path / "demo" / "heatmaps").glob("*.png"))
    with pytest.raises(InputError, match="holds an earlier demo"):
        run_demo(tmp_path / "demo", device="cpu", minutes=0.01)


def test_of_volumes(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(volume_sample, "TRAINING_VOLUMES", 2)
    monkeypatch.setattr(volume_sample, "HELD_OUT_VOLUMES", 1)
    monkeypatch.setattr(volume_sample, "head_phantom", lambda seed: head_phantom(seed, size=40))
    monkeypatch.setattr(pose_search, "_ROTATIONS", 500)
    monkeypatch.setattr(atlas, "_BLOCKS", 150)
    run_demo(tmp_path / "demo", device="cpu", volumes=True)
    out = capsys.readouterr().out
    voxels = float(out.split("mean radial error")[1].split("=")[1].split()[0])
    assert voxels < 1.5  # of 6 mm
    assert list((tmp_path / "demo" / "heatmaps").glob("*.nrrd"))
    text = (tmp_path / "demo" / "study" / "report" / "001" / "report.html").read_text()
    assert text.count('class="planes"') == 18 + 2 * 3
