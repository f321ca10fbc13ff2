"""``progress.jsonl``: what a worker appends while it works, and a reader that trusts none of it.

One line of JSON for each entry, written with one call, so that a reader never needs more than the bytes after those
it has read. The reader takes limited lines of known types and drops everything else: the file may come from another
machine.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.progress import ProgressEvent

PROGRESS = "progress.jsonl"
HEARTBEAT_SECONDS = 5.0
"""Time between entries by which a worker tells that it lives."""

LARGEST_FILE = 256 * 1024**2
"""Bytes of a progress file that are read; a long training writes a hundredth of it."""
_LONGEST_LINE = 256 * 1024
_MOST_AT_ONCE = 4 * 1024**2  # bytes: a reader in a timer must not take long
_LONGEST_TEXT = 2000
_LONGEST_NAME = 300
_MOST_LANDMARKS = 10_000
_LARGEST_NUMBER = 1e12
_SECONDS_BETWEEN_EVENTS = 0.2


@dataclass(frozen=True)
class Started:
    """First entry of a worker.

    Parameters
    ----------
    protocol : int
    version : str
        Of napari-landmark.
    pid : int
    host : str
        Name of the machine.
    """

    protocol: int
    version: str
    pid: int
    host: str


@dataclass(frozen=True)
class Alive:
    """Sign of life of a worker that has nothing else to tell."""


@dataclass(frozen=True)
class LogLine:
    """Line of text for the user."""

    text: str


@dataclass(frozen=True)
class PreviewLandmarks:
    """Landmarks of one image as the model of a running training predicts them.

    Parameters
    ----------
    image : str
    positions : mapping of str to tuple of float or None
        Index coordinates in array axis order by name of the landmark; None without a position.
    """

    image: str
    positions: Mapping[str, tuple[float, ...] | None]


@dataclass(frozen=True)
class DeviceChosen:
    """Device that the worker computes on.

    Parameters
    ----------
    device : str
    budget : str
        Duration of the work in words; empty where it has none.
    """

    device: str
    budget: str = ""


@dataclass(frozen=True)
class HostState:
    """State of a job on a host, told by the worker here that follows it.

    Parameters
    ----------
    host, job_id : str
        Names of the host and of the job there.
    state : str
        A `client.JobState`.
    since : float
        Seconds since 1970.
    sent : float
        Part that was sent, 0..1.
    reason : str
        Last answer of a connection that failed.
    """

    host: str
    job_id: str
    state: str
    since: float
    sent: float = 0.0
    reason: str = ""


Content = Started | Alive | LogLine | PreviewLandmarks | DeviceChosen | HostState | ProgressEvent


@dataclass(frozen=True)
class Entry:
    """Entry of a progress file.

    Parameters
    ----------
    time : float
        Seconds since 1970 by the clock of the worker.
    content : Started, ProgressEvent, LogLine, PreviewLandmarks, DeviceChosen, HostState or Alive
    """

    time: float
    content: Content


class ProgressWriter:
    """Progress file that is being written, by any threads of one worker.

    A line that cannot be written, such as on a full disk, is dropped: the work goes on.

    Parameters
    ----------
    path : Path
        Made where there is none; private to the user.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        self._written = time.monotonic()
        self._sent: tuple[str, bool] | None = None  # stage of the last event, and whether it had a loss
        self._sent_at = 0.0
        self._broken = False
        self._bytes = os.fstat(self._handle).st_size

    def started(self, protocol: int, version: str, host: str) -> None:
        """Append the first entry."""
        self._append("started", protocol=protocol, version=version, pid=os.getpid(), host=host)

    def progress(self, event: ProgressEvent) -> None:
        """Append an event: the first and the last of each stage, and a few a second in between."""
        now, part = time.monotonic(), (event.stage, event.loss is not None)
        if part == self._sent and event.fraction < 1 and now - self._sent_at < _SECONDS_BETWEEN_EVENTS:
            return
        self._sent, self._sent_at = part, now
        self._append(
            "progress",
            stage=event.stage,
            fraction=_finite(event.fraction) or 0.0,
            seconds_left=_finite(event.seconds_left),
            loss=_finite(event.loss),
            step=event.step,
            overtime=event.overtime,
        )

    def log(self, text: str) -> None:
        """Append a line of text."""
        self._append("log", text=text[:_LONGEST_TEXT])

    def preview(self, image: str, landmarks: LandmarkSet) -> None:
        """Append the landmarks of an image."""
        positions = {
            mark.name: None if mark.position is None else [round(float(value), 2) for value in mark.position]
            for mark in landmarks.values()
        }
        self._append("preview", image=image, positions=positions)

    def device(self, device: str, budget: str) -> None:
        """Append the device that is computed on, and the duration of the work in words."""
        self._append("device", device=device, budget=budget)

    def host_state(self, state: HostState) -> None:
        """Append the state of a job on a host."""
        self._append("host state", **asdict(state))

    def alive(self) -> None:
        """Append a sign of life if nothing else was written lately."""
        if time.monotonic() - self._written >= 0.8 * HEARTBEAT_SECONDS:
            self._append("alive")

    def close(self) -> None:
        """Stop writing."""
        with self._lock:
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1

    def _append(self, kind: str, **values: Any) -> None:
        entry = {"time": round(time.time(), 3), "type": kind, **values}
        line = json.dumps(entry, ensure_ascii=True, allow_nan=False).encode() + b"\n"
        with self._lock:
            # Signs of life go on to the limit of the reader; what is only for show leaves them room.
            if self._handle < 0 or (kind != "alive" and self._bytes + len(line) > 0.9 * LARGEST_FILE):
                return
            if self._broken:  # the end of a line that was written in part
                line = b"\n" + line
            try:
                self._broken = os.write(self._handle, line) != len(line)
                self._bytes += len(line)
            except OSError:
                self._broken = True
            self._written = time.monotonic()


class ProgressReader:
    """Reads a progress file as it grows, from the byte where it stopped.

    Parameters
    ----------
    path : Path
        May not exist yet.

    Attributes
    ----------
    offset : int
        Bytes read so far.
    fault : InputError or None
        The first line that was dropped because it is not what a worker writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.fault: InputError | None = None
        self._rest = b""
        self._dropping = False  # within a line that is too long
        self._lines = 0

    def read(self) -> list[Entry]:
        """The entries since the last call; at most some megabytes of them, the others with the next call."""
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.offset)
                data = stream.read(min(_MOST_AT_ONCE, max(0, LARGEST_FILE - self.offset)))
        except OSError:
            return []
        if not data and self.offset >= LARGEST_FILE:
            self._note(f"is larger than {LARGEST_FILE // 1024**2} MB; the rest is not read")
        self.offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        entries = []
        for line in lines:
            self._lines += 1
            if self._dropping:
                self._dropping = False
                continue
            if line and (entry := self._entry(line)) is not None:
                entries.append(entry)
        if len(self._rest) > _LONGEST_LINE:
            self._note(f"line {self._lines + 1}: is longer than {_LONGEST_LINE // 1024} kB")
            self._rest, self._dropping = b"", True
        return entries

    def _entry(self, line: bytes) -> Entry | None:
        if len(line) > _LONGEST_LINE:
            self._note(f"line {self._lines}: is longer than {_LONGEST_LINE // 1024} kB")
            return None
        try:
            return parse_entry(line)
        except (ValueError, TypeError, LookupError, RecursionError, OverflowError) as error:
            self._note(f"line {self._lines}: is not what a worker writes ({error!s:.80})")
            return None

    def _note(self, reason: str) -> None:
        if self.fault is None:
            self.fault = InputError(f"{self.path}: {printable(reason)}")


def parse_entry(line: bytes) -> Entry:
    """Entry of one line; ValueError, TypeError, LookupError or RecursionError for anything a worker does not write."""
    values = json.loads(line, parse_constant=_refuse_constant)
    if not isinstance(values, dict):
        raise TypeError("no object")
    return Entry(_number(values["time"]), _CONTENTS[_text(values["type"])](values))


def printable(text: str) -> str:
    """Text without control characters, with which a file could write anywhere on a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _started(values: Mapping[str, Any]) -> Started:
    return Started(
        _whole(values["protocol"]), _text(values["version"]), _whole(values["pid"]), _text(values["host"])
    )


def _progress(values: Mapping[str, Any]) -> ProgressEvent:
    overtime = values["overtime"]
    if not isinstance(overtime, bool):
        raise TypeError("overtime")
    return ProgressEvent(
        _text(values["stage"]),
        min(1.0, max(0.0, _number(values["fraction"]))),
        _optional(values["seconds_left"]),
        _optional(values["loss"]),
        _whole(values["step"]),
        overtime,
    )


def _log(values: Mapping[str, Any]) -> LogLine:
    return LogLine(_text(values["text"], _LONGEST_TEXT))


def _preview(values: Mapping[str, Any]) -> PreviewLandmarks:
    positions = values["positions"]
    if not isinstance(positions, dict) or len(positions) > _MOST_LANDMARKS:
        raise TypeError("positions")
    return PreviewLandmarks(
        _text(values["image"], exact=True),
        {_text(name, exact=True): _position(value) for name, value in positions.items()},
    )


def _host_state(values: Mapping[str, Any]) -> HostState:
    return HostState(
        _text(values["host"]),
        _text(values["job_id"]),
        _text(values["state"]),
        _number(values["since"]),
        min(1.0, max(0.0, _number(values["sent"]))),
        _text(values["reason"], _LONGEST_TEXT),
    )


_CONTENTS: dict[str, Callable[[Mapping[str, Any]], Content]] = {
    "started": _started,
    "progress": _progress,
    "log": _log,
    "preview": _preview,
    "device": lambda values: DeviceChosen(_text(values["device"]), _text(values["budget"])),
    "host state": _host_state,
    "alive": lambda values: Alive(),
}


def _position(value: object) -> tuple[float, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) not in (2, 3):
        raise TypeError("a position")
    return tuple(_number(item) for item in value)


def _text(value: object, longest: int = _LONGEST_NAME, *, exact: bool = False) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise TypeError("a text")
    return value if exact else printable(value)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST_NUMBER:
        raise TypeError("a whole number")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) > _LARGEST_NUMBER:
        raise TypeError("a number")
    return float(value)


def _optional(value: object) -> float | None:
    return None if value is None else _number(value)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
