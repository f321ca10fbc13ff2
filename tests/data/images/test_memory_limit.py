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


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Writes what the system says of the groups of this process, and tells the memory that may be used."""

    def total(own: str, **limits: str) -> int:
        (tmp_path / "own").write_text(own)
        for name, limit in limits.items():
            path = tmp_path / "groups" / name.replace("__", "/").replace("_max", ".max")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(limit)
        return total_memory.__wrapped__()

    monkeypatch.setattr(memory_limit, "_OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(memory_limit, "_CGROUPS", tmp_path / "groups")
    return total


class TestGroupsOfProcesses:
    def test_none(self, groups):
        assert groups("") > 2**28

    def test_of_its_own(self, groups):
        assert groups("0::/a/b\n", a__b__memory_max="123456\n") == 123456

    def test_of_one_that_contains_it(self, groups):
        assert (
            groups("0::/a/b\n", a__b__memory_max="max\n", a__memory_max="4567\n", memory_max="9999\n") == 4567
        )

    def test_of_another_does_not_count(self, groups):
        assert groups("0::/a\n", b__memory_max="123\n") > 2**28

    def test_without_limit(self, groups):
        assert groups("0::/a\n", a__memory_max="max\n") > 2**28

    def test_of_the_first_version(self, groups, tmp_path):
        folder = tmp_path / "groups" / "memory" / "a"
        folder.mkdir(parents=True)
        (folder / "memory.limit_in_bytes").write_text("789\n")
        assert groups("3:cpu,cpuacct:/a\n2:memory:/a\n0::/\n") == 789

    def test_seen_from_a_container(self, groups):
        assert groups("0::/of/the/host\n", memory_max="321\n") == 321


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
