"""Landmarks of the images of a folder, from one landmark file."""

from __future__ import annotations

import pytest

from napari_landmark.data.cohort.folder_landmarks import landmarks_of_images
from napari_landmark.data.errors import InputError


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "marks.csv"
    path.write_text("image,landmark,x,y\nfolder/a.png,tip,3,4\nb,tip,5,6\nother.png,tip,1,1\n")
    return path


def test_names_are_those_of_the_images(table, tmp_path):
    found = landmarks_of_images(table, ["a.png", "b.png", "c.png"], images=tmp_path)
    assert list(found) == ["a.png", "b.png"]
    assert found["a.png"]["tip"].position == (4, 3)


def test_a_file_of_other_images_is_told(table, tmp_path):
    with pytest.raises(
        InputError, match=r"marks\.csv: has landmarks of no image of the pairs \(it has folder/a\.png"
    ):
        landmarks_of_images(table, ["z.png"], images=tmp_path, group="the pairs")
