"""A folder with files of all sorts: what cannot be read is named and left out."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_landmark.cli.app import main

pytestmark = pytest.mark.usefixtures("quick")


def test_a_folder_of_all_sorts(data, train_options, capsys):
    folder, rng = data / "images", np.random.default_rng(0)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    (folder / "notes.txt").write_text("hello")
    Image.fromarray(rng.integers(0, 255, (90, 60, 3), dtype=np.uint8)).save(folder / "photo.jpg")
    Image.fromarray(rng.integers(0, 60000, (50, 80)).astype(np.uint16)).save(folder / "deep.tif")
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(folder / "dot.png")
    assert main(["train", *train_options()]) == 0
    out, err = capsys.readouterr()
    left_out = [line for line in err.splitlines() if line.startswith("left out: ")]
    assert [line.split(": ")[1] for line in left_out] == ["broken.png", "dot.png", "notes.txt"]
    assert all(
        line.count(name) == 1
        for line, name in zip(left_out, ("broken.png", "dot.png", "notes.txt"), strict=True)
    )
    assert "6 images" in out
    study = data.parent / "study"
    arguments = ["--images", str(folder), "--out", str(data / "found.csv"), "--device", "cpu"]
    assert main(["detect", str(study), *arguments]) == 0
    out, err = capsys.readouterr()
    left_out = [line.split(": ")[1] for line in err.splitlines() if line.startswith("left out")]
    assert sorted(left_out) == ["broken.png", "dot.png", "notes.txt"]
    assert "6 images" in out
