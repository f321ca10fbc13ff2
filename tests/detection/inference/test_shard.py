"""Shards divide a list: every item is in one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.data.errors import InputError
from napari_landmark.detection.inference.shard import Shard


@given(st.integers(0, 50), st.integers(1, 12))
def test_all_shards_together_are_the_list(length, count):
    items = list(range(length))
    parts = [Shard(index, count).select(items) for index in range(count)]
    assert sorted(item for part in parts for item in part) == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(part == sorted(part) for part in parts)


def test_one_shard_is_the_whole_run():
    assert Shard().select("abc") == ["a", "b", "c"]
    assert Shard().journal(Path("out/found.csv.part.jsonl")) == Path("out/found.csv.part.jsonl")


def test_every_shard_has_a_journal_of_its_own():
    journals = {Shard(k, 3).journal(Path("out/found.csv.part.jsonl")) for k in range(3)}
    assert len(journals) == 3
    assert Path("out/found.csv.part.1-of-3.jsonl") in journals


@pytest.mark.parametrize(("index", "count"), [(-1, 2), (2, 2), (0, 0), (0, -1)])
def test_there_is_no_such_shard(index, count):
    with pytest.raises(InputError, match="shard"):
        Shard(index, count)
