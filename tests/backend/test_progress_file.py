"""Progress files: read as they grow, cut anywhere, and whatever somebody else wrote into them."""

from __future__ import annotations

import json
import os
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_landmark.backend import progress_file
from napari_landmark.backend.progress_file import (
    Alive,
    DeviceChosen,
    HostState,
    LogLine,
    PreviewLandmarks,
    ProgressReader,
    ProgressWriter,
    Started,
    parse_entry,
)
from napari_landmark.progress import ProgressEvent


@pytest.fixture
def path(tmp_path):
    return tmp_path / "progress.jsonl"


def contents(entries):
    return [entry.content for entry in entries]


def write_all(path, phantoms):
    writer = ProgressWriter(path)
    writer.started(1, "0.1", "host")
    writer.progress(ProgressEvent("training embedding", 0.25, 12.5, 0.75, 7, True))
    writer.device("cuda:0", "for 3 minutes")
    writer.host_state(HostState("lab", "1", "unreachable", 5.0, 0.5, "cut"))
    writer.log("left out: ä.png: is broken")
    writer.preview("ä.png", phantoms[0].landmarks)
    writer.progress(ProgressEvent("training embedding", 1.0, float("nan"), float("inf")))
    writer.close()


def test_what_is_written_is_read(path, phantoms):
    write_all(path, phantoms)
    started, event, device, host, line, preview, last = contents(ProgressReader(path).read())
    assert started == Started(1, "0.1", os.getpid(), "host")
    assert event == ProgressEvent("training embedding", 0.25, 12.5, 0.75, 7, True)
    assert device == DeviceChosen("cuda:0", "for 3 minutes")
    assert host == HostState("lab", "1", "unreachable", 5.0, 0.5, "cut")
    assert line == LogLine("left out: ä.png: is broken")
    assert isinstance(preview, PreviewLandmarks) and preview.image == "ä.png"
    for mark in phantoms[0].landmarks.values():
        assert preview.positions[mark.name] == pytest.approx(mark.position, abs=0.01)
    assert (last.fraction, last.seconds_left, last.loss) == (1.0, None, None)
    assert path.stat().st_mode & 0o077 == 0


def test_a_file_that_grows_by_any_number_of_bytes(path, tmp_path, phantoms):
    write_all(path, phantoms)
    data = path.read_bytes()
    expected = contents(ProgressReader(path).read())
    for step in (1, 7, 100):
        growing = tmp_path / f"{step}.jsonl"
        reader, found = ProgressReader(growing), []
        assert reader.read() == []
        for first in range(0, len(data), step):
            with growing.open("ab") as stream:
                stream.write(data[first : first + step])
            found += contents(reader.read())
        assert found == expected
        assert reader.fault is None


def test_events_are_few_and_the_first_and_last_of_a_stage_are_among_them(path):
    writer = ProgressWriter(path)
    for step in range(1001):
        writer.progress(ProgressEvent("detecting", step / 1000))
    fractions = [event.fraction for event in contents(ProgressReader(path).read())]
    assert fractions[0] == 0.0 and fractions[-1] == 1.0
    assert len(fractions) < 50


def test_signs_of_life_only_where_nothing_else_is_told(path, monkeypatch):
    writer = ProgressWriter(path)
    writer.alive()
    assert ProgressReader(path).read() == []
    now = time.monotonic()
    monkeypatch.setattr(progress_file.time, "monotonic", lambda: now + 10)
    writer.alive()
    assert contents(ProgressReader(path).read()) == [Alive()]


GOOD = json.dumps({"time": 1.0, "type": "log", "text": "good"}).encode() + b"\n"
HOSTILE = [
    b"\n",
    b"\0" * 1000 + b"\n",
    b"[" * 100_000 + b"\n",
    b'{"a":' * 50_000 + b"\n",
    b"[]\n",
    b"null\n",
    b'"text"\n',
    b"{}\n",
    b'{"time": 1, "type": "log"}\n',
    b'{"time": 1, "type": ["log"], "text": "x"}\n',
    b'{"time": 1, "type": "exec", "text": "x"}\n',
    b'{"time": "now", "type": "log", "text": "x"}\n',
    b'{"time": NaN, "type": "alive"}\n',
    b'{"time": 1e999, "type": "alive"}\n',
    b'{"time": ' + b"9" * 5000 + b', "type": "alive"}\n',
    b'{"time": true, "type": "alive"}\n',
    b'{"time": 1, "type": "progress", "stage": "x", "fraction": "1", "seconds_left": null, "loss": null, "step": 1, '
    b'"overtime": false}\n',
    b'{"time": 1, "type": "progress", "stage": "x", "fraction": 1, "seconds_left": null, "loss": null, "step": 1.5, '
    b'"overtime": false}\n',
    b'{"time": 1, "type": "preview", "image": "x", "positions": {"a": [1, 2, 3, 4]}}\n',
    b'{"time": 1, "type": "preview", "image": "x", "positions": [1]}\n',
    b'{"time": 1, "type": "log", "text": "' + b"x" * 10_000_000 + b'"}\n',
    b'{"time": 1, "type": "started", "protocol": -1, "version": "", "pid": 1, "host": ""}\n',
    b"\xff\xfe{\n",
]


@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_line_is_dropped_and_named_in_one_line(path, line):
    path.write_bytes(GOOD + line + GOOD)
    reader, found = ProgressReader(path), []
    for _ in range(20):
        found += contents(reader.read())
    assert found == [LogLine("good"), LogLine("good")]
    if line.strip():
        text = str(reader.fault)
        assert text.startswith(f"{path}: line ")
        assert text.isprintable() and len(text) < 400
    assert len(reader._rest) < 300_000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes(tmp_path, data):
    path = tmp_path / "any.jsonl"
    path.write_bytes(data + b"\n" + GOOD)
    assert contents(ProgressReader(path).read())[-1:] == [LogLine("good")]


def test_control_characters_reach_no_terminal():
    line = json.dumps({"time": 1, "type": "log", "text": "\x1b[2J\x07gone\nnext"}).encode()
    assert parse_entry(line).content.text.isprintable()


def test_a_file_without_end_is_not_read_for_ever(path, monkeypatch):
    monkeypatch.setattr(progress_file, "LARGEST_FILE", 1000)
    path.write_bytes(GOOD * 100)
    reader = ProgressReader(path)
    assert len(reader.read()) < 100
    assert reader.read() == []
    assert "is larger than" in str(reader.fault)


def test_a_full_disk_ends_no_work(path, monkeypatch):
    writer = ProgressWriter(path)

    def full(handle, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(progress_file.os, "write", full)
        writer.log("lost")
    writer.log("kept")
    reader = ProgressReader(path)
    assert contents(reader.read()) == [LogLine("kept")]
    assert reader.fault is None
