"""Whether results can be written is found out before the work."""

from __future__ import annotations

import os

import pytest

from napari_landmark.cli.destination import check_writable
from napari_landmark.data.errors import InputError


def test_new_places_are_fine_and_are_not_made(tmp_path):
    check_writable(tmp_path / "a" / "b" / "c.csv")
    check_writable(tmp_path / "a" / "b", folder=True)
    check_writable(tmp_path, folder=True)
    assert list(tmp_path.iterdir()) == []


def test_a_relative_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    check_writable(Path("x.csv"))


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "x").write_text("")
    check_writable(tmp_path / "x")
    with pytest.raises(InputError, match="x: is a file"):
        check_writable(tmp_path / "x", folder=True)
    with pytest.raises(InputError, match="x is a file; choose another folder"):
        check_writable(tmp_path / "x" / "y" / "z.csv")


def test_a_folder_where_a_file_should_be(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        check_writable(tmp_path)


def test_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # an administrator may write anywhere
    with pytest.raises(InputError, match="cannot be written; choose a folder you may write to"):
        check_writable(tmp_path / "x.csv")
