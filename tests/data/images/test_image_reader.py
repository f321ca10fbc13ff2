"""Every reader obeys the interface, and the first that accepts a file reads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images import image as image_module
from napari_landmark.data.images.image import (
    IMAGE_SUFFIXES,
    looks_like_image,
    read_geometry,
    read_image,
)


@pytest.mark.parametrize("reader", image_module._READERS, ids=lambda reader: reader.__name__.split(".")[-1])
class TestEveryReader:
    def test_suffixes_are_those_of_images(self, reader):
        assert set(reader.SUFFIXES) <= set(IMAGE_SUFFIXES)
        assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in reader.SUFFIXES)

    def test_it_accepts_only_what_is_there(self, reader, tmp_path):
        (tmp_path / "folder.nii").mkdir()
        for name in ("gone.png", "gone.nii", "gone", "folder.nii"):
            assert reader.accepts(tmp_path / name) is False


def test_one_more_reader_is_one_more_line(tmp_path, monkeypatch):
    (tmp_path / "a.numbers").write_text("1 2 3 4\n" * 5)

    def read_pixels(path: Path) -> tuple[np.ndarray, Geometry]:
        array = np.loadtxt(path)
        return array, Geometry(array.shape)

    numbers = SimpleNamespace(
        SUFFIXES=(".numbers",),
        accepts=lambda path: path.suffix == ".numbers" and path.is_file(),
        read_header=lambda path: read_pixels(path)[1],
        read_pixels=read_pixels,
    )
    assert not looks_like_image(tmp_path / "a.numbers")
    monkeypatch.setattr(image_module, "_READERS", (*image_module._READERS, numbers))
    assert looks_like_image(tmp_path / "a.numbers")
    assert read_geometry(tmp_path / "a.numbers").shape == (5, 4)
    assert read_image(tmp_path / "a.numbers").array[0].tolist() == [1, 2, 3, 4]


def test_libraries_are_loaded_when_they_are_needed():
    """The terminal and the viewer import this module when they start."""
    code = (
        "import sys; import napari_landmark.data.images.image; "
        "print([name for name in ('nibabel', 'pydicom', 'SimpleITK', 'tifffile', 'PIL') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
