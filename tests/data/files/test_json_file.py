from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.json_file import plain_value, read_json_object, write_json_object


class Colour(StrEnum):
    RED = "red"


@dataclass
class Record:
    name: str
    at: tuple[float, ...]
    colour: Colour = Colour.RED


def test_records_come_back_as_plain_values(tmp_path):
    path = tmp_path / "record.json"
    write_json_object(path, {"record": Record("ä", (1, 2)), "nothing": None})
    assert read_json_object(path) == {"record": {"name": "ä", "at": [1, 2], "colour": "red"}, "nothing": None}
    assert "ä" in path.read_text(encoding="utf-8")


def test_folders_stay_private():
    assert plain_value({"images": [Path("/patients/smith/a.png")]}) == {"images": ["a.png"]}


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", "[" * 100_000, '{"a": ' + "9" * 5000 + "}"])
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "record.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"record\.json: .*take it from a backup"):
        read_json_object(path)


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json_object(tmp_path / "none.json")


def test_a_value_that_is_none_of_json_writes_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_json_object(tmp_path / "record.json", {"a": object()})
    assert not list(tmp_path.iterdir())
    assert json.dumps(plain_value({"a": 1})) == '{"a": 1}'
