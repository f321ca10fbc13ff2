"""The cache of a cohort made on a real dask scheduler whose worker processes are killed."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

from napari_landmark.backend.cluster import cache
from napari_landmark.backend.cluster.cache import cluster_drawing, draw_row
from napari_landmark.cli.app import main
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.progress import Cancelled, CancelToken

from .conftest import wait_for_workers


def test_the_same_cache_though_a_worker_is_killed(cluster, data, tmp_path, monkeypatch, capsys):
    address, processes = cluster
    images = data / "images"
    first, *_ = images.iterdir()
    for number in range(20):
        (images / f"copy {number} é.png").write_bytes(first.read_bytes())
    cut = images / "cut.png"
    cut.write_bytes(first.read_bytes()[:-2000])
    alone = Cohort.from_folder(images, cache_dir=tmp_path / "alone")
    wait_for_workers(address, 3)
    killed = []

    def kill_one(event):
        if event.stage == "reading images" and not killed:
            killed.append(processes[1].pid)
            os.kill(processes[1].pid, signal.SIGKILL)

    with cluster_drawing(address) as drawing:
        found = Cohort.from_folder(images, cache_dir=tmp_path / "cluster", drawing=drawing, progress=kill_one)
    assert killed
    assert found.names == alone.names
    assert found.skipped_files == alone.skipped_files
    assert [problem.name for problem in found.skipped_files] == ["cut.png"]
    for number in range(len(alone)):
        np.testing.assert_array_equal(found.working(number), alone.working(number))

    monkeypatch.setenv("NAPARI_LANDMARK_CACHE", str(tmp_path / "shared"))
    assert main(["cache", "--images", str(images), "--executor", address]) == 0
    captured = capsys.readouterr()
    assert f"{len(alone)} images at" in captured.out
    assert "left out: cut.png" in captured.err
    drawn = []
    again = Cohort.from_folder(images, drawing=_Counting(drawn))
    assert len(again) == len(alone)
    assert drawn == ["cut.png"]  # all others were in the cache

    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled), cluster_drawing(address, cancel=cancel) as drawing:
        Cohort.from_folder(images, cache_dir=tmp_path / "stopped", drawing=drawing, cancel=cancel)
    for process in processes:
        process.kill()


class _Counting:
    """Notes what is drawn."""

    threads = 1

    def __init__(self, drawn: list[str]) -> None:
        self._drawn = drawn

    def draw(self, entry, canvas, *, spacing=None):
        self._drawn.append(entry.name)
        raise InputError("cannot be drawn")


def test_another_version_or_file_there_is_not_the_fault_of_an_image(data):
    path = next((data / "images").iterdir())
    size = path.stat().st_size
    with pytest.raises(cache.ClusterError, match="another version"):
        draw_row(-1, path.name, str(path), size, (64, 64), None)
    with pytest.raises(cache.ClusterError, match="is another file there"):
        draw_row(cache.RESAMPLING, path.name, str(path), size + 1, (64, 64), None)
    assert draw_row(cache.RESAMPLING, path.name, str(path), size, (64, 64), None).shape == (64, 64)


def test_how_a_cache_is_made_is_told(tmp_path, capsys):
    assert main(["cache", "--clear", "--images", str(tmp_path)]) == 2
    assert "a cache is made with --images DIR alone" in capsys.readouterr().err
    assert main(["cache", "--images", str(tmp_path / "nothing")]) == 2
    assert "nothing: there is no such folder" in capsys.readouterr().err
