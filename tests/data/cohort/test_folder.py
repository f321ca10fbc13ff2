from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.cohort.folder import list_files, natural_order, of_one_kind, read_headers


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


def test_names_that_a_table_cannot_hold(folder):
    for name in ("two\nlines.png", "not\udce9text.png"):
        try:
            Image.new("L", (9, 9)).save(folder / name)
        except (OSError, UnicodeError):
            pytest.skip("this file system has no such names")
    images, problems = read_headers(list_files(folder, []), None)
    assert [image.name for image in images] == ["b9.png", "b10.png"]
    assert len(problems) == 2
    assert all("rename it" in problem.reason for problem in problems)
    for problem in problems:
        problem.name.encode()


def test_the_more_frequent_kind_stays(folder):
    pages = [Image.new("L", (9, 9)) for _ in range(3)]
    pages[0].save(folder / "volume.tif", save_all=True, append_images=pages[1:])
    images, problems = of_one_kind(read_headers(list_files(folder, []), None)[0])
    assert len(images) == 2
    assert [problem.name for problem in problems] == ["volume.tif"]
