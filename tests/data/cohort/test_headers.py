from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.cohort import headers
from napari_landmark.data.cohort.folder import list_files
from napari_landmark.data.cohort.header_cache import HeaderCache
from napari_landmark.data.cohort.headers import of_one_kind, read_headers
from napari_landmark.progress import Cancelled, CancelToken


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("b10.png", "b9.png"):
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "images" / name)
    return tmp_path / "images"


@pytest.fixture
def parsed(monkeypatch):
    """Names of the files whose headers are read."""
    names, honest = [], headers.read_geometry

    def spy(path, **options):
        names.append(path.name)
        return honest(path, **options)

    monkeypatch.setattr(headers, "read_geometry", spy)
    return names


def read(folder, **options):
    cache = HeaderCache(folder.parent / "cache" / "headers.json", folder)
    return read_headers(list_files(folder, []), options.pop("spacing", None), cache=cache, **options)


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


def test_headers_are_read_once(folder, parsed):
    first = read(folder)
    assert sorted(parsed) == ["b10.png", "b9.png"]
    parsed.clear()
    assert read(folder) == first
    assert parsed == []
    assert [image.geometry.spacing for image in read(folder, spacing=0.5)[0]] == [(0.5, 0.5)] * 2
    assert [image.geometry.spacing for image in read(folder)[0]] == [
        None
    ] * 2  # the file's own is what is kept


def test_a_changed_image_is_read_again(folder, parsed):
    read(folder)
    parsed.clear()
    Image.fromarray(np.zeros((20, 9), np.uint8)).save(folder / "b9.png")
    os.utime(folder / "b9.png", (1000, 1000))
    assert [image.geometry.shape for image in read(folder)[0]] == [(20, 9), (9, 9)]
    assert parsed == ["b9.png"]


def test_what_cannot_be_read_is_tried_again(folder, parsed):
    (folder / "c.png").write_bytes(b"nothing")
    for _ in range(2):
        images, skipped = read(folder)
        assert len(images) == 2
        assert [one.name for one in skipped] == ["c.png"]
    assert parsed.count("c.png") == 2


def test_headers_are_read_side_by_side_and_given_in_order(folder, monkeypatch):
    both, honest = threading.Barrier(2, timeout=20), headers.read_geometry

    def together(path, **options):
        both.wait()  # breaks where one is read after the other
        return honest(path, **options)

    monkeypatch.setattr(headers, "read_geometry", together)
    events = []
    images, skipped = read(folder, progress=events.append)
    assert skipped == []
    assert [image.name for image in images] == ["b9.png", "b10.png"]
    assert [(event.stage, event.fraction) for event in events] == [
        ("reading headers", 0.5),
        ("reading headers", 1),
    ]


def test_cancelling_keeps_the_headers_read_so_far(folder, parsed):
    token = CancelToken()
    with pytest.raises(Cancelled):
        read(folder, progress=lambda event: token.cancel(), cancel=token)
    parsed.clear()
    read(folder)
    assert len(parsed) < 2
