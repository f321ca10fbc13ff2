from __future__ import annotations

import pytest
from PIL import Image

from napari_landmark.data.errors import InputError
from napari_landmark.data.images import memory_limit
from napari_landmark.data.images.image import read_geometry, read_image
from napari_landmark.data.images.memory_limit import check_fits, total_memory


def test_what_fits_and_what_does_not(monkeypatch):
    monkeypatch.setattr(memory_limit, "total_memory", lambda: 1000)
    check_fits((10, 60), 1)
    with pytest.raises(InputError, match="is too large for this machine: 61 x 10 pixels"):
        check_fits((10, 61), 1)
    with pytest.raises(InputError, match="too large"):
        check_fits((2**62, 2**62), 1)  # more than any integer of the machine


def test_this_machine_has_some():
    assert 2**28 < total_memory() < 2**50


def test_a_limit_of_the_group_of_processes(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("123456\n")
    monkeypatch.setattr(memory_limit, "_CGROUP_LIMITS", (str(tmp_path / "memory.max"),))
    assert total_memory.__wrapped__() == 123456
    (tmp_path / "memory.max").write_text("max\n")
    assert total_memory.__wrapped__() > 123456


def test_refused_by_the_header_with_the_name_of_the_file(monkeypatch, tmp_path):
    Image.new("L", (300, 200)).save(tmp_path / "a.png")
    read_image(tmp_path / "a.png")
    monkeypatch.setattr(memory_limit, "total_memory", lambda: 100_000)
    for read in (read_geometry, read_image):
        with pytest.raises(InputError, match=r"a\.png: is too large for this machine: 300 x 200 pixels"):
            read(tmp_path / "a.png")


def test_memory_that_others_have_taken(monkeypatch, tmp_path):
    from napari_landmark.data.images import raster as picture_file

    def full(path):
        raise MemoryError

    Image.new("L", (300, 200)).save(tmp_path / "a.png")
    monkeypatch.setattr(picture_file, "read_pixels", full)
    with pytest.raises(InputError, match=r"a\.png: does not fit into the memory that is free"):
        read_image(tmp_path / "a.png")
