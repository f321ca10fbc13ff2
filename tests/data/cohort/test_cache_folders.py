from __future__ import annotations

import os
import time

import numpy as np
import pytest

from napari_landmark.data.cohort.cache import WorkingCache, lock_of_cache
from napari_landmark.data.cohort.cache_folders import list_caches, remove_cache
from napari_landmark.data.cohort.header_cache import HeaderCache
from napari_landmark.data.files.file_lock import acquire_lock
from napari_landmark.data.geometry import Geometry

IMAGES, HEADERS = 24 * "a", 24 * "b"


@pytest.fixture
def caches(tmp_path):
    """A folder for caches with one of images and one of headers, both of an existing folder of images."""
    (tmp_path / "images").mkdir()
    folder = tmp_path / "caches"
    WorkingCache(folder / IMAGES, ["a"], ["1"], (40, 60), source=tmp_path / "images").build(
        lambda number: np.zeros((40, 60), np.float32)
    )
    headers = HeaderCache(folder / HEADERS / "headers.json", tmp_path / "images")
    headers.keep("a", tmp_path / "a", (1, 2), Geometry((4, 4)))
    headers.save()
    (folder / "other").mkdir()  # of somebody else
    (folder / "other" / "index.json").write_text("{}")
    return folder


def test_caches_with_their_folder_and_size(caches, tmp_path):
    found = list_caches(caches)
    assert [cache.path.name for cache in found] == [IMAGES, HEADERS]
    assert [cache.source for cache in found] == [tmp_path / "images"] * 2
    assert found[0].size > 2 * 40 * 60
    assert not any(cache.in_use or cache.is_unused for cache in found)
    assert list_caches(tmp_path / "nothing") == []


def test_unused_are_those_of_folders_that_are_gone_and_old_ones(caches, tmp_path):
    long_ago = time.time() - 31 * 24 * 3600
    for file in (caches / HEADERS).iterdir():
        os.utime(file, (long_ago, long_ago))
    assert [cache.is_unused for cache in list_caches(caches)] == [False, True]
    (tmp_path / "images").rmdir()
    assert [cache.is_unused for cache in list_caches(caches)] == [True, True]


def test_opening_a_cache_makes_it_used_again(caches, tmp_path):
    long_ago = time.time() - 31 * 24 * 3600
    for name in (IMAGES, HEADERS):
        for file in (caches / name).iterdir():
            os.utime(file, (long_ago, long_ago))
    WorkingCache(caches / IMAGES, ["a"], ["1"], (40, 60)).build(lambda number: pytest.fail("drawn again"))
    headers = HeaderCache(caches / HEADERS / "headers.json", tmp_path / "images")
    headers.find("a", tmp_path / "a", (1, 2))
    headers.save()
    assert not any(cache.is_unused for cache in list_caches(caches))


def test_an_index_of_an_earlier_version_notes_no_folder(caches):
    (caches / IMAGES / "index.json").write_text("{")
    assert list_caches(caches)[0].source is None


def test_removing_leaves_files_of_others(caches):
    (caches / IMAGES / "mine.txt").write_text("x")
    for cache in list_caches(caches):
        assert remove_cache(cache)
    assert sorted(path.name for path in caches.iterdir()) == [IMAGES, "locks", "other"]
    assert [path.name for path in (caches / IMAGES).iterdir()] == ["mine.txt"]


def test_what_a_program_uses_stays(caches):
    opened = WorkingCache(caches / IMAGES, ["a"], ["1"], (40, 60))
    opened.build(lambda number: pytest.fail("drawn again"))
    lock = acquire_lock(lock_of_cache(caches / HEADERS))
    found = list_caches(caches)
    assert [cache.in_use for cache in found] == [True, True]
    assert not any(remove_cache(cache) for cache in found)
    assert opened.row(0).shape == (40, 60)
    del opened
    lock.release()
    assert all(remove_cache(cache) for cache in found)
