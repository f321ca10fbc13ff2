from __future__ import annotations

import os

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.small_file import read_small_text


def test_text_without_a_byte_order_mark(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf{}")
    assert read_small_text(tmp_path / "a.json") == "{}"


def test_large_files_are_not_read(tmp_path):
    (tmp_path / "a.json").touch()
    os.truncate(tmp_path / "a.json", 2**30)
    with pytest.raises(InputError, match=r"a\.json: is larger than 64 MB"):
        read_small_text(tmp_path / "a.json")
