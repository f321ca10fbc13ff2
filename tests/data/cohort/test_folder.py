from __future__ import annotations

import os

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from napari_landmark.data.cohort.fingerprint import fingerprint
from napari_landmark.data.cohort.folder import file_state, files_of_image, list_files, natural_order


def test_natural_order():
    names = ["b1", "a10", "a2", "A3", "10", "9", "a"]
    assert sorted(names, key=natural_order) == ["9", "10", "a", "a2", "A3", "a10", "b1"]


@pytest.fixture
def folder(tmp_path):
    for name in ("b10.png", "b9.png"):
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / name)
    return tmp_path


def test_files_in_order_and_from_elsewhere_last(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "a.png"
    other.touch()
    names = [name for name, _ in list_files(folder, [other, folder / "b9.png"])]
    assert names == ["b9.png", "b10.png", "a.png"]


@pytest.mark.parametrize("ending", ["mhd", "nhdr"])
def test_the_file_of_the_pixels_belongs_to_the_image(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.uint8)), str(path))
    (pixels,) = (file for file in tmp_path.iterdir() if file != path)
    assert files_of_image(path) == [path, pixels]
    before = file_state(path), fingerprint([("a", path)])
    content = pixels.read_bytes()
    pixels.write_bytes(content[:-1] + b"x")
    os.utime(pixels, (1000, 1000))  # of the same size
    assert file_state(path) != before[0]
    assert fingerprint([("a", path)]) != before[1]
    path.write_text("nothing")
    assert files_of_image(path) == [path]


def test_the_state_of_a_series_changes_with_every_slice(tmp_path):
    for name in ("a.dcm", "b.dcm"):
        (tmp_path / name).write_bytes(bytes(128) + b"DICM")
        os.utime(tmp_path / name, (1000, 1000))
    before = file_state(tmp_path)
    os.utime(tmp_path / "a.dcm", (900, 900))  # older than the newest, of the same size
    assert file_state(tmp_path) != before
    assert file_state(tmp_path)[0] == before[0]
