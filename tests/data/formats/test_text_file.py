from __future__ import annotations

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats import text_file
from napari_landmark.data.formats.text_file import (
    check_count,
    check_one_line,
    finite_number,
    read_json,
    read_text,
    shown,
    write_json,
)


def test_a_byte_order_mark_is_left_out(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfh\xc3\xa4nd")
    assert read_text(tmp_path / "a.txt") == "händ"


def test_other_encodings_are_named_with_the_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\ntw\xf6\n")
    with pytest.raises(InputError, match=r"a\.txt, line 2: is not UTF-8"):
        read_text(tmp_path / "a.txt")


def test_large_files_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(text_file, "_LARGEST", 4)
    (tmp_path / "a.txt").write_text("five!")
    with pytest.raises(InputError, match="larger than 0 GB"):
        read_text(tmp_path / "a.txt")


@pytest.mark.parametrize(("memory", "readable"), [(16 * 1024**3, True), (4 * 1024**3, False)])
def test_300_megabytes_are_read_where_memory_allows(tmp_path, monkeypatch, memory, readable):
    monkeypatch.setattr(text_file, "total_memory", lambda: memory)
    with (tmp_path / "a.txt").open("wb") as stream:
        stream.truncate(300 * 10**6)  # takes no room on the disk
    if readable:
        assert len(read_text(tmp_path / "a.txt")) == 300 * 10**6
        return
    with pytest.raises(InputError, match=r"is 300 MB large.*split it by images"):
        read_text(tmp_path / "a.txt")


def test_json_round_trip(tmp_path):
    data = {"name": "ä", "values": [1.5, None]}
    write_json(tmp_path / "a.json", data)
    assert read_json(tmp_path / "a.json") == data
    assert "ä" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_json_errors_name_the_line(tmp_path):
    (tmp_path / "a.json").write_text('{\n"a": }')
    with pytest.raises(InputError, match=r"a\.json, line 2: is not valid JSON"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(("value", "number"), [(1, 1.0), ("2.5", 2.5), (" -3e2 ", -300.0)])
def test_numbers(value, number):
    assert finite_number(value, "x") == number


@pytest.mark.parametrize("value", [None, True, "", "nan", "inf", "1_0", float("nan"), 10**400, [], "x" * 99])
def test_what_is_no_number(value):
    with pytest.raises(InputError, match=r"^x is .{1,50}: expected a number$"):
        finite_number(value, "x")


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "'a'"), (None, "None"), ([[[]]], "a list"), ({}, "an object"), (10**400, "a huge number")],
)
def test_values_in_messages_are_short(value, text):
    assert shown(value) == text
    assert len(shown("x" * 99)) < 50


def test_more_landmarks_than_anybody_places():
    check_count(10_000, "a.tps")
    with pytest.raises(InputError, match=r"a\.tps: has 10001 landmarks"):
        check_count(10_001, "a.tps")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\r", "a\u2028b"])
def test_names_that_break_lines(name):
    with pytest.raises(InputError, match="rename the image"):
        check_one_line(name, "a.tps")
