"""Shards of a detection from the terminal, and the table that `merge` makes of them."""

from __future__ import annotations

import pytest

from napari_landmark.cli.app import main


@pytest.fixture
def arguments(study, data, tmp_path):
    def make(out, *more):
        return [str(study.folder), "--images", str(data / "images"), "--out", str(tmp_path / out), *more]

    return make


def test_merged_shards_are_the_table_of_one_run(arguments, data, tmp_path):
    (data / "images" / "broken.png").write_bytes(b"no picture")
    assert main(["detect", *arguments("whole.csv"), "--device", "cpu"]) == 0
    for index in (2, 0, 1):
        assert main(["detect", *arguments("found.csv"), "--device", "cpu", "--shard", f"{index}/3"]) == 0
        assert not (tmp_path / "found.csv").exists()
    assert main(["merge", *arguments("found.csv"), "--shards", "3"]) == 0
    assert (tmp_path / "found.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not list(tmp_path.glob("*.part*"))


def test_more_shards_than_images(arguments, tmp_path):
    assert main(["detect", *arguments("whole.csv"), "--device", "cpu"]) == 0
    for index in range(6):
        assert main(["detect", *arguments("found.csv"), "--device", "cpu", "--shard", f"{index}/6"]) == 0
    assert main(["merge", *arguments("found.csv"), "--shards", "6"]) == 0
    assert (tmp_path / "found.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_shard_that_is_missing_is_named(arguments, capsys):
    assert main(["detect", *arguments("found.csv"), "--device", "cpu", "--shard", "0/2"]) == 0
    assert main(["merge", *arguments("found.csv"), "--shards", "2"]) == 2
    assert "run shard 1 of 2 again" in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["2/2", "1", "-1/2", "a/b", "1/2/3", "0/0", "1e9/2"])
def test_a_wrong_shard_is_refused(arguments, capsys, shard):
    assert main(["detect", *arguments("found.csv"), f"--shard={shard}"]) == 2
    assert "shard" in capsys.readouterr().err


@pytest.mark.parametrize(
    "executor", ["", "dask://", "tcp://a:1", "dask://a b:1", "dask://a:123456", "a:8786"]
)
def test_a_wrong_executor_is_refused(arguments, capsys, executor):
    assert main(["detect", *arguments("found.csv"), f"--executor={executor}"]) == 2
    assert "give dask://HOST:PORT" in capsys.readouterr().err
