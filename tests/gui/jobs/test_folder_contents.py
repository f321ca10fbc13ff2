"""What a folder of images holds, in words."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_landmark.gui.jobs import folder_contents
from napari_landmark.gui.jobs.folder_contents import FolderContents, describe_folder
from napari_landmark.progress import Cancelled, CancelToken


def pictures(folder, *sizes):
    for number, (width, height) in enumerate(sizes):
        Image.fromarray(np.zeros((height, width), np.uint8)).save(folder / f"{number}.png")


def test_number_and_size(tmp_path):
    pictures(tmp_path, (30, 20), (30, 20), (30, 20))
    assert describe_folder(tmp_path) == "3 images, 30 x 20, no pixel size"


def test_other_sizes_and_files(tmp_path):
    pictures(tmp_path, (30, 20), (30, 20), (40, 20))
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "broken.png").write_bytes(b"x")
    assert describe_folder(tmp_path) == "3 images, mostly 30 x 20, no pixel size; 2 other files"


def test_pixel_sizes_of_volumes(tmp_path):
    import SimpleITK as sitk

    for number in range(2):
        image = sitk.GetImageFromArray(np.zeros((3, 4, 5), np.int16))
        image.SetSpacing((0.5, 0.5, 2.0))
        sitk.WriteImage(image, str(tmp_path / f"{number}.nii.gz"))
    assert describe_folder(tmp_path) == "2 volumes, 5 x 4 x 3, 0.5 x 2 mm a voxel"


def test_an_even_choice_of_many(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_contents, "_MOST_HEADERS", 2)
    pictures(tmp_path, (30, 20), (30, 20), (40, 20), (30, 20))
    assert describe_folder(tmp_path).startswith("4 images, ")


def test_none(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    assert describe_folder(tmp_path) == "No images in this folder."


def test_given_up(tmp_path):
    pictures(tmp_path, (30, 20))
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        describe_folder(tmp_path, cancel=token)


def test_the_last_folder_alone_is_told(qtbot, tmp_path):
    for name, size in (("a", (30, 20)), ("b", (50, 40))):
        (tmp_path / name).mkdir()
        pictures(tmp_path / name, size)
    contents, told = FolderContents(), []
    contents.described.connect(told.append)
    contents.look(tmp_path / "a")
    contents.look(tmp_path / "b")
    qtbot.waitUntil(lambda: bool(told), timeout=5000)
    qtbot.wait(50)
    assert told == ["1 image, 50 x 40, no pixel size"]
    contents.look(tmp_path / "nowhere")
    assert told[-1] == ""
