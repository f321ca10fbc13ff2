from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.tiff_pages import check_pages_end


def pages(path: Path, following: list[int], *, order: str = "<", big: bool = False) -> Path:
    """A TIFF of pages without entries: page n lies at 100 (n + 1), and `following` says which comes after it."""
    count, place = ("Q", "Q") if big else ("H", "I")
    mark = {"<": b"II", ">": b"MM"}[order]
    start = struct.pack(f"{order}HHHQ", 43, 8, 0, 100) if big else struct.pack(f"{order}HI", 42, 100)
    content = bytearray(100 * (len(following) + 2))
    content[: 2 + len(start)] = mark + start
    for number, after in enumerate(following):
        at = 100 * (number + 1)
        page = struct.pack(order + count, 0) + struct.pack(
            order + place, 100 * (after + 1) if after >= 0 else 0
        )
        content[at : at + len(page)] = page
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
class TestChain:
    def test_that_ends(self, tmp_path, order, big):
        check_pages_end(pages(tmp_path / "a.tif", [1, 2, -1], order=order, big=big))

    @pytest.mark.parametrize("following", [[0], [1, 0], [1, 2, 1]])
    def test_that_comes_back(self, tmp_path, order, big, following):
        with pytest.raises(InputError, match="circle"):
            check_pages_end(pages(tmp_path / "a.tif", following, order=order, big=big))


@pytest.mark.parametrize("big", [False, True])
def test_files_as_they_are_written(tmp_path, big):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 8, 9), np.uint8), bigtiff=big, photometric="minisblack")
    check_pages_end(tmp_path / "a.tif")


@pytest.mark.parametrize("content", [b"", b"II", b"II*\0", b"PK\3\4 something else", b"II+\0\x08\0\0\0"])
def test_what_is_no_tiff_is_left_to_the_reader(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    check_pages_end(tmp_path / "a.tif")
