from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.cohort import folder_geometries
from napari_landmark.data.cohort.folder_geometries import FolderGeometries
from napari_landmark.data.errors import InputError


@pytest.fixture
def folder(tmp_path):
    for number in (10, 2):
        Image.fromarray(np.zeros((30, 20 + number), np.uint8)).save(tmp_path / f"image{number}.png")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "broken.png").write_text("no image either")
    return tmp_path


def test_images_in_natural_order(folder):
    assert list(FolderGeometries(folder)) == ["broken.png", "image2.png", "image10.png"]
    assert "image2.png" in FolderGeometries(folder)
    assert FolderGeometries(folder).get("notes.txt") is None


def test_geometries_with_and_without_a_spacing(folder):
    assert FolderGeometries(folder)["image2.png"].spacing is None
    geometry = FolderGeometries(folder, spacing=0.5)["image2.png"]
    assert (geometry.shape, geometry.spacing) == ((30, 22), (0.5, 0.5))


def test_a_header_is_read_once_and_only_when_asked_for(folder, monkeypatch):
    read = []

    def reading(path, *, spacing):
        read.append(path.name)
        return path.name

    monkeypatch.setattr(folder_geometries, "read_geometry", reading)
    geometries = FolderGeometries(folder)
    assert read == []
    assert [geometries["image2.png"], geometries["image2.png"]] == ["image2.png"] * 2
    assert read == ["image2.png"]


def test_images_that_cannot_be_read(folder):
    with pytest.raises(InputError, match=r"broken\.png"):
        FolderGeometries(folder)["broken.png"]
    with pytest.raises(InputError, match="no such folder"):
        FolderGeometries(folder / "none")
