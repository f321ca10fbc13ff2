"""Other end of an ssh connection: one request on standard input, answers on standard output, all of them JSON.

No path and no name ever passes through the shell of the host: the command line is fixed, and everything else is in the
request. A service lives as long as its connection; jobs outlive it.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import napari_landmark
from napari_landmark.backend.job_file import PROTOCOL, check_protocol
from napari_landmark.backend.job_folder import (
    DONE,
    KILL,
    LAUNCHED,
    STOP,
    Phase,
    check_job_id,
    check_private,
    inspect_folder,
    make_private_folder,
)
from napari_landmark.backend.launch import kill_worker, launch_worker
from napari_landmark.backend.local_machine import request, watch
from napari_landmark.backend.progress_file import PROGRESS
from napari_landmark.data.errors import InputError

GREETING = "napari-landmark host service"
"""Begins the line before the answers: shells of hosts may print anything before it."""

LARGEST_REQUEST = 64 * 1024
CHUNK = 128 * 1024
"""Bytes of a progress file in one answer."""
_SECONDS_BETWEEN_LOOKS = 0.25
_SECONDS_BETWEEN_STATES = 2.0
_LONGEST_FOLLOWING = 3600.0
_MOST_FILES = 200_000

Answer = Callable[[Mapping[str, Any]], None]


def serve(source: IO[bytes], sink: IO[bytes]) -> None:
    """Answer one request; any failure becomes an answer with an error."""

    def answer(values: Mapping[str, Any]) -> None:
        sink.write(json.dumps(values, ensure_ascii=True).encode() + b"\n")
        sink.flush()

    sink.write(f"{GREETING} {PROTOCOL} {napari_landmark.__version__}\n".encode())
    sink.flush()
    try:
        values = json.loads(source.readline(LARGEST_REQUEST))
        if not isinstance(values, dict):
            raise InputError("the request is no object")
        check_protocol(values.get("protocol"), "the request")
        action = _ACTIONS.get(str(values.get("ask")))
        if action is None:
            raise InputError(f"the request asks for {values.get('ask')!r:.40}, which is unknown here")
        action(_Request(values), answer)
    except BrokenPipeError:  # the other end is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except InputError as error:
        answer({"error": str(error), "code": error.code})
    except (ValueError, RecursionError) as error:
        answer({"error": f"the request cannot be read ({error})", "code": None})
    except OSError as error:
        answer({"error": f"{error.filename or 'file system'}: {error.strerror or error}", "code": None})


class _Request:
    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        value = self._values.get(name)
        if not isinstance(value, str) or "\0" in value:
            raise InputError(f"the request lacks {name}")
        return value

    def number(self, name: str) -> int:
        value = self._values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InputError(f"the request lacks {name}")
        return value

    def base(self) -> Path:
        """The folder of this user's jobs."""
        return make_private_folder(Path(self.text("folder")).expanduser().absolute())

    def job(self) -> Path:
        """The folder of the job; InputError where it is missing or not private."""
        folder = self.base() / check_job_id(self.text("job"))
        check_private(folder)
        return folder


def _hello(asked: _Request, answer: Answer) -> None:
    from napari_landmark.learning.device import choose_device

    folder = asked.base()
    device = choose_device("auto")
    answer(
        {
            "version": napari_landmark.__version__,
            "device": str(device),
            "device_memory": device.memory(),
            "device_free": device.free_memory(),
            "folder": str(folder),
            "disk_free": shutil.disk_usage(folder).free,
        }
    )


def _make(asked: _Request, answer: Answer) -> None:
    folder = make_private_folder(asked.base() / check_job_id(asked.text("job")))
    answer({"folder": str(folder), "disk_free": shutil.disk_usage(folder).free})


def _list(asked: _Request, answer: Answer) -> None:
    """All plain files of the job with their sizes."""
    folder, files = asked.job(), {}
    for parent, _, names in os.walk(folder, followlinks=False):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                files[path.relative_to(folder).as_posix()] = path.stat().st_size
        if len(files) > _MOST_FILES:
            raise InputError(f"{folder}: holds too many files")
    for first in range(0, len(items := list(files.items())), 500):
        answer({"files": dict(items[first : first + 500])})
    answer({"complete": True})


def _start(asked: _Request, answer: Answer) -> None:
    folder = asked.job()
    if not (folder / LAUNCHED).exists() and inspect_folder(folder).phase is Phase.WAITING:
        template = asked.text("start")
        launch_worker(folder, command=asked.text("command") if template else "", template=template)
    answer({"started": True})


def _follow(asked: _Request, answer: Answer) -> None:
    """Send the progress file from an offset on, as it grows, and the state of the job now and then."""
    folder, offset = asked.job(), asked.number("offset")
    end = time.monotonic() + min(_LONGEST_FOLLOWING, asked.number("seconds"))
    told = 0.0
    while True:
        state = inspect_folder(folder)  # before the last bytes are read: nothing comes after an end
        while data := _bytes(folder / PROGRESS, offset):
            offset += len(data)
            answer({"progress": base64.b64encode(data).decode()})
        ended = state.phase in (Phase.ENDED, Phase.DIED)
        now = time.monotonic()
        if ended or now - told > _SECONDS_BETWEEN_STATES:
            told = now
            answer({"phase": state.phase, "silent_seconds": round(state.silent_seconds, 1)})
        if ended or now > end:
            return
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _stop(asked: _Request, answer: Answer) -> None:
    request(asked.job(), STOP)
    answer({"done": True})


def _kill(asked: _Request, answer: Answer) -> None:
    folder = asked.job()
    request(folder, KILL)
    kill_worker(folder, template=asked.text("stop"))
    answer({"done": True})


def _watch(asked: _Request, answer: Answer) -> None:
    watch(asked.job(), asked.text("image"))
    answer({"done": True})


def _remove(asked: _Request, answer: Answer) -> None:
    folder = asked.base() / check_job_id(asked.text("job"))
    if folder.is_dir() and not folder.is_symlink():
        check_private(folder)
        if inspect_folder(folder).phase is Phase.RUNNING and not (folder / DONE).exists():
            raise InputError(f"{folder}: its job is running")
        shutil.rmtree(folder)
    answer({"done": True})


def _bytes(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            return stream.read(CHUNK)
    except FileNotFoundError:
        return b""


_ACTIONS: dict[str, Callable[[_Request, Answer], None]] = {
    "hello": _hello,
    "make": _make,
    "list": _list,
    "start": _start,
    "follow": _follow,
    "stop": _stop,
    "kill": _kill,
    "watch": _watch,
    "remove": _remove,
}
