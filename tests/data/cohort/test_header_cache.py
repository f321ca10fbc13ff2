from __future__ import annotations

import json

import pytest

from napari_landmark.data.cohort import header_cache
from napari_landmark.data.cohort.header_cache import HeaderCache
from napari_landmark.data.geometry import Geometry, SpacingSource

GEOMETRY = Geometry(
    (5, 6, 7),
    (2.5, 0.1, 0.3),
    (1, 2, 3),
    ((0, 1, 0), (1, 0, 0), (0, 0, -1)),
    SpacingSource.FILE,
    "calibrated",
)
STATE = (100, 1_700_000_000_123_456_789)


@pytest.fixture
def file(tmp_path):
    cache = HeaderCache(tmp_path / "cache" / "headers.json", tmp_path)
    cache.keep("a", tmp_path / "a", STATE, GEOMETRY)
    cache.save()
    return tmp_path / "cache" / "headers.json"


def find(file, state=STATE, path="a"):
    return HeaderCache(file, file.parents[1]).find("a", file.parents[1] / path, state)


def test_the_geometry_comes_back_whole(file):
    assert find(file) == GEOMETRY


@pytest.mark.parametrize("state", [(101, STATE[1]), (100, STATE[1] + 1)], ids=["size", "time"])
def test_another_state_is_another_image(file, state):
    assert find(file, state) is None


def test_another_path_is_another_image(file):
    assert find(file, path="b") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content | {"version": 99},
        lambda content: content | {"package": "0.0.1"},
        lambda content: content | {"images": []},
        lambda content: content | {"images": {"a": None}},
        lambda content: content | {"images": {"a": content["images"]["a"][:3]}},
        lambda content: content | {"images": {"a": [*content["images"]["a"][:3], {"shape": "x"}]}},
        lambda content: content | {"images": {"a": [*content["images"]["a"][:3], []]}},
        lambda content: [],
    ],
)
def test_what_makes_no_sense_is_not_there(file, change):
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    assert find(file) is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_damaged_file_is_no_harm(file, content):
    file.write_bytes(content)
    assert find(file) is None
    cache = HeaderCache(file, file.parents[1])
    cache.keep("a", file.parents[1] / "a", STATE, GEOMETRY)
    cache.save()
    assert find(file) == GEOMETRY


def test_only_news_are_written(file, monkeypatch):
    monkeypatch.setattr(header_cache, "write_json_object", lambda *_, **__: pytest.fail("written"))
    cache = HeaderCache(file, file.parents[1])
    cache.find("a", file.parents[1] / "a", STATE)
    cache.save()


def test_images_that_are_gone_leave_it(file):
    cache = HeaderCache(file, file.parents[1])
    cache.keep("b", file.parents[1] / "b", STATE, GEOMETRY)
    cache.save(complete=False)
    assert find(file) == GEOMETRY
    cache = HeaderCache(file, file.parents[1])
    cache.find("b", file.parents[1] / "b", STATE)
    cache.save()
    assert find(file) is None


def test_a_folder_that_cannot_be_written_is_passed_over(tmp_path):
    (tmp_path / "file").write_text("")
    cache = HeaderCache(tmp_path / "file" / "headers.json", tmp_path)
    cache.keep("a", tmp_path / "a", STATE, GEOMETRY)
    cache.save()
