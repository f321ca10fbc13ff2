"""Folder of one job: private, with the files by which worker and client talk, and the phase that they tell."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from napari_landmark.backend.job_file import PROTOCOL, check_protocol
from napari_landmark.backend.progress_file import PROGRESS, printable
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.files.file_lock import LockHeldError, acquire_lock
from napari_landmark.data.files.json_file import json_content, read_json_object, write_json_object

DONE, STOP, KILL, WATCHED = "done.json", "stop", "kill", "watched.json"
WORKER_LOCK, WORKER_LOG, LAUNCHED = "worker.lock", "worker.log", "launched.json"
STUDY, IMAGES = "study", "images"
"""Folders of what is sent to another machine."""

_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")

SECONDS_TO_START = 120.0
"""Time in which a worker that no queue holds back begins; importing takes seconds, on a busy disk a minute."""
SECONDS_OF_SILENCE = 60.0
"""Time without an entry after which a worker on another computer is called silent."""


class Outcome(StrEnum):
    """How a job ended."""

    DONE = "done"
    STOPPED = "stopped"
    """On request, with a usable result where there was one yet."""
    FAILED = "failed"
    KILLED = "killed"
    """At once on a second request; nothing usable."""


@dataclass(frozen=True)
class Done:
    """Content of ``done.json``.

    Parameters
    ----------
    outcome : Outcome
    error : InputError or None
        Reason of a failure, with its code.
    result : dict
        Plain values that the kind of job returns.
    seconds : float
    """

    outcome: Outcome
    error: InputError | None = None
    result: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Phase(StrEnum):
    """State of a job as its folder tells it."""

    WAITING = "waiting"
    """No worker has begun."""
    RUNNING = "running"
    ENDED = "ended"
    """There is a ``done.json``."""
    DIED = "died"
    """The worker ended without one: killed, crashed, or its machine was switched off."""


@dataclass(frozen=True)
class FolderState:
    """Phase of a job, and for how long nothing was heard of its worker.

    Parameters
    ----------
    phase : Phase
    silent_seconds : float
        Since the last entry of the progress file, by the clock of the file system; 0 before the first.
    """

    phase: Phase
    silent_seconds: float = 0.0


def new_job_id() -> str:
    """Name of a new job: date, time (UTC) and eight random hexadecimal digits."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


def check_job_id(job_id: object) -> str:
    """The name of a job; InputError for anything that `new_job_id` does not make."""
    if not isinstance(job_id, str) or not _ID.fullmatch(job_id):
        raise InputError(f"{job_id!r:.60}: is no name of a job")
    return job_id


def make_private_folder(folder: Path) -> Path:
    """Make a folder that only this user may enter, or check that an existing one is.

    Raises
    ------
    InputError
        It is no folder, belongs to another user, is open to others, or cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror or error})") from error
    check_private(folder)
    return folder


def check_private(folder: Path) -> None:
    """Refuse a folder of another user, one that others may enter, and a link (InputError)."""
    try:
        found = os.lstat(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror or error})") from error
    if not stat.S_ISDIR(found.st_mode):
        raise InputError(f"{folder}: is no folder of its own: choose another folder for jobs")
    if not hasattr(os, "getuid"):  # Windows: folders of a user's profile are private
        return
    if found.st_uid != os.getuid():
        raise InputError(f"{folder}: belongs to another user: choose another folder for jobs")
    if found.st_mode & 0o077:
        raise InputError(
            f"{folder}: others may enter it: choose a new folder for jobs, or make it private with chmod 700"
        )


def write_done(folder: Path, done: Done) -> None:
    """Write ``done.json``, whole or not at all."""
    write_json_object(folder / DONE, done_record(done))


def done_record(done: Done) -> dict[str, Any]:
    """Plain values of ``done.json``."""
    error = None
    if done.error is not None:
        plain = {
            key: value for key, value in done.error.parameters.items() if isinstance(value, str | int | float)
        }
        error = {"message": str(done.error), "code": done.error.code, "parameters": plain}
    return {
        "protocol": PROTOCOL,
        "outcome": done.outcome,
        "error": error,
        "result": done.result,
        "seconds": round(done.seconds, 1),
    }


def done_content(done: Done) -> str:
    """Text of ``done.json``."""
    return json_content(done_record(done))


def read_done(folder: Path) -> Done | None:
    """Content of ``done.json``; None while there is none.

    Raises
    ------
    InputError
        It is damaged, or of another protocol.
    """
    path = folder / DONE
    try:
        content = read_json_object(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    check_protocol(content.get("protocol"), path)
    try:
        result, seconds = content["result"], float(content["seconds"])
        if not isinstance(result, dict):
            raise TypeError("a result")
        return Done(Outcome(content["outcome"]), _parse_error(content["error"]), result, seconds)
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: is not what a worker writes ({printable(str(error)):.80})") from error


def _parse_error(values: Any) -> InputError | None:
    if values is None:
        return None
    code = None if values["code"] is None else ErrorCode(values["code"])
    # Only what a remedy mentions: a name of an option, of an address.
    parameters = {
        key: printable(str(value))[:200]
        for key, value in dict(values["parameters"]).items()
        if key in ("option", "host", "name", "size")
    }
    return InputError(printable(str(values["message"]))[:2000], code=code, **parameters)


def inspect_folder(folder: Path) -> FolderState:
    """Phase of a job by its files.

    A worker holds a lock as long as it lives, which tells a dead one from a slow one. On a file system whose locks do
    not reach other computers, a worker elsewhere would look dead: there its signs of life count, see
    `SECONDS_OF_SILENCE`.
    """
    if (folder / DONE).exists():
        return FolderState(Phase.ENDED)
    held, begun = _is_locked(folder / WORKER_LOCK), (folder / PROGRESS).exists()
    silent = _seconds_since_change(folder / PROGRESS) if begun else 0.0
    if held:
        return FolderState(Phase.RUNNING, silent)
    # Looked at after the lock: a worker writes done.json before it gives the lock back.
    if (folder / DONE).exists():
        return FolderState(Phase.ENDED)
    if begun:
        here = not (folder / LAUNCHED).exists() or not _is_queued(folder)
        alive = not here and silent < SECONDS_OF_SILENCE
        return FolderState(Phase.RUNNING if alive else Phase.DIED, silent)
    if _is_queued(folder) or not (folder / LAUNCHED).exists():
        return FolderState(Phase.WAITING)
    late = _seconds_since_change(folder / LAUNCHED) > SECONDS_TO_START
    return FolderState(Phase.DIED if late or _launched_is_gone(folder) else Phase.WAITING)


def write_launched(folder: Path, *, pid: int | None, queued: bool, answer: str = "") -> None:
    """Note that a worker was started, or handed to a queue with the answer of its command."""
    write_json_object(folder / LAUNCHED, {"pid": pid, "queued": queued, "answer": answer})


def read_launched(folder: Path) -> dict[str, Any]:
    """What `write_launched` noted; empty where nothing was."""
    try:
        return read_json_object(folder / LAUNCHED)
    except (OSError, InputError):
        return {}


def last_log_line(folder: Path) -> str:
    """The last line that a worker printed, for the message of its death; empty where there is none."""
    with contextlib.suppress(OSError), (folder / WORKER_LOG).open("rb") as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - 8192))
        return printable_error(stream.read())
    return ""


def printable_error(output: bytes) -> str:
    """The last line of what a command printed, without control characters."""
    lines = output[-8192:].decode("utf-8", "replace").splitlines()
    return next((printable(line).strip()[:300] for line in reversed(lines) if line.strip()), "")


def _is_queued(folder: Path) -> bool:
    return read_launched(folder).get("queued") is True


def _launched_is_gone(folder: Path) -> bool:
    """Whether the process that was started has ended before it took the lock."""
    import psutil

    pid = read_launched(folder).get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or _seconds_since_change(folder / LAUNCHED) < 1:
        return False
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        acquire_lock(path).release()
    except LockHeldError as error:
        return error.leftover is None  # on a file system without locks the signs of life count
    except OSError:
        return False
    return False


def _seconds_since_change(path: Path) -> float:
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return 0.0
