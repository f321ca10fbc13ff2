from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.data.files.file_stem import file_stem


@given(st.text(min_size=1), st.text(min_size=1))
def test_safe_and_distinct(first, second):
    stem = file_stem(first)
    assert set(stem) <= set(string.ascii_letters + string.digits + "._-~")
    assert 0 < len(stem) <= 100
    assert stem[0] != "."
    assert Path(stem).name == stem
    assert (stem == file_stem(second)) == (first == second)


def test_similar_names():
    names = ["a/b", "a_b", "a b", "a\\b", "a:b", "A/B", "a__b", "\u00e9", file_stem("a/b")]
    assert len({file_stem(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["001.jpg", "IMG_2.nii.gz", "1.2.840.55"])
def test_plain_names_stay(name):
    assert file_stem(name) == name


@pytest.mark.parametrize("name", ["con.png", "NUL", "lpt1.jpg"])
def test_names_of_devices(name):
    assert file_stem(name).split(".")[0].lower() not in ("con", "nul", "lpt1")
