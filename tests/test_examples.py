"""The examples run, and do what their pages say."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_landmark.cli.app import main as cli
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.synthetic import hand_phantom

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture
def example():
    """Loads an example as a module."""

    def load(name):
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_every_example_is_tested():
    source = Path(__file__).read_text(encoding="utf-8")
    assert all(f'example("{path.stem}")' in source for path in EXAMPLES.glob("*.py"))


@pytest.mark.usefixtures("quick")
def test_sample_data(example, tmp_path):
    error = example("sample_data").main(tmp_path, minutes=0.01)
    assert 0 < error < 96  # a training of a second knows little; its positions are in the image
    assert len(read_landmarks(tmp_path / "found.csv")) == 4


def test_own_format(example, tmp_path):
    module = example("own_format")
    found = module.main(tmp_path)
    hand = hand_phantom(0)
    np.testing.assert_allclose(found[hand.image.name].positions(2), hand.landmarks.positions(2), atol=1e-5)
    assert set(read_landmarks(tmp_path / "hand.csv")) == {hand.image.name}
    (tmp_path / "bad.png.results.csv").write_text("Label,X\ntip,1\n")
    with pytest.raises(Exception, match="line 2"):
        module.read(tmp_path / "bad.png.results.csv")


def test_own_format_is_found_by_its_entry_point(example, tmp_path, monkeypatch):
    from napari_landmark.data.formats.registry import landmark_formats, write_landmarks

    info = tmp_path / "own_format-1.0.dist-info"
    info.mkdir()
    shutil.copy(EXAMPLES / "own_format.py", tmp_path)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-format\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[napari_landmark.formats]\nfiji = own_format:FIJI\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    landmark_formats.cache_clear()
    try:
        hand = hand_phantom(1)
        write_landmarks(tmp_path / "hand.csv", {"h.png": hand.landmarks})
        assert cli(["convert", str(tmp_path / "hand.csv"), str(tmp_path / "h.png.results.csv")]) == 0
        found = read_landmarks(tmp_path / "h.png.results.csv")["h.png"]
        np.testing.assert_allclose(found.positions(2), hand.landmarks.positions(2), atol=1e-5)
    finally:
        landmark_formats.cache_clear()


def test_morphometrics(example, tmp_path):
    analysis = example("morphometrics").main(tmp_path)
    sizes = analysis.superimposition.centroid_sizes
    assert sizes[8:].mean() / sizes[:8].mean() == pytest.approx(1.1, abs=0.08)
    assert {path.name for path in tmp_path.iterdir()} >= {
        "hands.morphoj.txt",
        "hands.tps",
        "hands.wide.csv",
        "tables",
    }


def test_batch_on_a_cluster(example, study, data, tmp_path, monkeypatch):
    module = example("batch_on_a_cluster")
    monkeypatch.setattr(module, "command", lambda *arguments: cli([str(one) for one in arguments]))
    merged, alone = tmp_path / "merged.csv", tmp_path / "alone.csv"
    module.main(study.folder, data / "images", merged)
    assert (
        cli(
            [
                "detect",
                str(study.folder),
                "--images",
                str(data / "images"),
                "--out",
                str(alone),
                "--device",
                "cpu",
            ]
        )
        == 0
    )
    assert merged.read_bytes() == alone.read_bytes()
