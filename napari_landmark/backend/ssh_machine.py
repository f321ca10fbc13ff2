"""Workers on another machine, through the system's ssh and sftp.

No daemon, no open port, no password: `ssh` logs in with a key or an agent as the user set it up, checks the key of the
host, and starts the host service (`host_service`) with a fixed command line. Files go through `sftp`, into and out of
the folder of one job, under names that need no quoting.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_landmark.backend.host_service import CHUNK, GREETING
from napari_landmark.backend.hosts import Host
from napari_landmark.backend.job_file import JOB, PROTOCOL, check_protocol
from napari_landmark.backend.job_folder import DONE, IMAGES, WORKER_LOG, FolderState, Phase
from napari_landmark.backend.line_process import LineProcess
from napari_landmark.backend.machine import Aborted, Notify, UnreachableError
from napari_landmark.backend.progress_file import LARGEST_FILE, PROGRESS, printable
from napari_landmark.data.errors import ErrorCode, InputError

_OPTIONS = {
    "BatchMode": "yes",  # never asks for a password
    "StrictHostKeyChecking": "yes",  # an unknown key is refused, not accepted
    "ConnectTimeout": "15",
    "ServerAliveInterval": "5",  # a cut cable is noticed after three of them
    "ServerAliveCountMax": "3",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
}
_SECONDS_FOR_ANSWER = 60.0
_SECONDS_FOR_DEVICE = 180.0  # importing torch from a network disk
_SECONDS_OF_FOLLOWING = 600
_SECONDS_WITHOUT_STATE = 30.0
_SECONDS_WITHOUT_FILE = 3600.0  # one file may be large; a dead connection ends by ServerAlive
_ENDED_BY_SIGNAL = (129, 130, 137, 143)  # as shells tell it
_MOST_LINES_BEFORE = 200
_MOST_FILES = 200_000
_LARGEST_RESULT = 4 * 1024**3
_SLACK = 16 * 1024**2  # bytes by which files may have grown since they were listed
_NAME_TO_SEND = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~-]{0,120}(/[A-Za-z0-9_][A-Za-z0-9._~-]{0,120}){0,4}")
_RESULTS = re.compile(
    r"done\.json|worker\.log|predictions\.jsonl|found\.csv\.part\.jsonl"
    r"|study/models/[0-9]{3,6}/[a-z_]{1,40}\.(json|safetensors)"
)
"""All that is ever fetched."""


@dataclass(frozen=True)
class HostReport:
    """Answer of a host to a test of the connection.

    Parameters
    ----------
    version : str
        Of napari-landmark there.
    device : str
    device_memory, device_free : int
        Bytes of the graphics card; 0 without one.
    folder : str
        Folder of the jobs.
    disk_free : int
        Bytes.
    """

    version: str
    device: str
    device_memory: int
    device_free: int
    folder: str
    disk_free: int


class SshMachine:
    """Another machine.

    Parameters
    ----------
    host : Host
    """

    def __init__(self, host: Host) -> None:
        self.host = host

    def test(self) -> HostReport:
        """Ask the host what it is.

        Raises
        ------
        UnreachableError
            It does not answer.
        InputError
            Its key is unknown or another, it refuses the login, has no napari-landmark, or speaks another protocol.
        """
        answer = self._ask("hello", seconds=_SECONDS_FOR_DEVICE)
        return HostReport(
            _text(answer, "version"),
            _text(answer, "device"),
            _whole(answer, "device_memory"),
            _whole(answer, "device_free"),
            _text(answer, "folder"),
            _whole(answer, "disk_free"),
        )

    def start(self, job_id: str, folder: Path, *, report: Callable[[float], None], aborted: Aborted) -> None:
        """Send the files of the job that are not there yet, its description last, and start it once."""
        answer = self._ask("make", job=job_id)
        there, free = _text(answer, "folder"), _whole(answer, "disk_free")
        files = _files_to_send(folder)
        known = self._list(job_id)
        if PROGRESS not in known and DONE not in known:
            missing = [name for name in files if known.get(name) != files[name]]
            needed = sum(files[name] for name in missing)
            if needed > free:
                raise InputError(
                    f"{self.host.name}: {needed / 1e9:.1f} GB are to be sent, {free / 1e9:.1f} GB are free in {there}; "
                    "free some space there"
                )
            self._put(folder, there, missing, files, report, aborted)
        self._ask("start", job=job_id, start=self.host.start, command=self.host.command)
        shutil.rmtree(folder / IMAGES, ignore_errors=True)  # the copies that were sent

    def follow(self, job_id: str, folder: Path, notify: Notify) -> None:
        """Append what the worker wrote, from the byte on where the copy here ends."""
        path = folder / PROGRESS
        offset = path.stat().st_size if path.exists() else 0
        connection = self._connect("follow", job=job_id, offset=offset, seconds=_SECONDS_OF_FOLLOWING)
        end = time.monotonic() + _SECONDS_OF_FOLLOWING + _SECONDS_WITHOUT_STATE
        try:
            with path.open("ab") as stream:
                while True:
                    line = connection.line(_SECONDS_WITHOUT_STATE)
                    if line is None or time.monotonic() > end:
                        raise UnreachableError(f"{self.host.name}: does not answer any more")
                    if not line:
                        self._check_end(connection)
                        return
                    answer = self._parsed(line)
                    if "progress" in answer:
                        data = _decoded(answer["progress"])
                        if offset + len(data) <= LARGEST_FILE:
                            offset += len(data)
                            stream.write(data)
                            stream.flush()
                    else:
                        state = _state(answer)
                        if not notify(state) or state.phase in (Phase.ENDED, Phase.DIED):
                            return
        finally:
            connection.kill()

    def stop(self, job_id: str, folder: Path) -> None:
        """Ask for a usable result."""
        self._ask("stop", job=job_id)

    def kill(self, job_id: str, folder: Path) -> None:
        """End the worker at once, or take the job out of the queue."""
        self._ask("kill", job=job_id, stop=self.host.stop)

    def watch(self, job_id: str, folder: Path, image: str) -> None:
        """Ask for previews of an image."""
        self._ask("watch", job=job_id, image=image)

    def fetch(self, job_id: str, folder: Path, *, aborted: Aborted) -> None:
        """Fetch the files of known names that a result may have; everything else stays where it is."""
        there = _text(self._ask("make", job=job_id), "folder")
        files = {name: size for name, size in self._list(job_id).items() if _RESULTS.fullmatch(name)}
        total = sum(files.values())
        if total > _LARGEST_RESULT:
            raise InputError(
                f"{self.host.name}: the result is {total / 1e9:.1f} GB: it is not what a job makes"
            )
        # Once more after a cut connection: done.json comes last and makes the result complete.
        names = sorted(files, key=lambda name: (name == DONE, name))
        wanted = [name for name in names if not _is_size(folder / name, files[name]) or name == DONE]
        for name in wanted:
            (folder / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = [f"get {name} {name}" for name in wanted if name != WORKER_LOG]
        if WORKER_LOG in wanted:
            lines.append(f"-get {WORKER_LOG} {WORKER_LOG}")

        def too_much() -> bool:
            if sum(_size(folder / name) for name in wanted) > total + _SLACK:
                raise InputError(f"{self.host.name}: sends more than its files were said to hold")
            return aborted()

        self._sftp(folder, there, lines, lambda count: None, too_much)

    def remove(self, job_id: str, folder: Path) -> None:
        """Remove the folder of the job there."""
        self._ask("remove", job=job_id)

    def _list(self, job_id: str) -> dict[str, int]:
        """Sizes of the files of the job there, by name."""
        connection = self._connect("list", job=job_id)
        files: dict[str, int] = {}
        try:
            while True:
                line = connection.line(_SECONDS_FOR_ANSWER)
                if line is None:
                    raise UnreachableError(f"{self.host.name}: does not answer any more")
                if not line:
                    self._check_end(connection)
                    raise UnreachableError(f"{self.host.name}: the connection ended early")
                answer = self._parsed(line)
                if answer.get("complete") is True:
                    return files
                part = answer.get("files")
                if not isinstance(part, dict) or len(files) > _MOST_FILES:
                    raise InputError(f"{self.host.name}: its answer is not what the host service sends")
                files |= {name: _whole(part, name) for name in part}
        finally:
            connection.kill()

    def _put(
        self,
        folder: Path,
        there: str,
        names: Sequence[str],
        sizes: Mapping[str, int],
        report: Callable[[float], None],
        aborted: Aborted,
    ) -> None:
        parents = {str(parent) for name in names for parent in Path(name).parents if str(parent) != "."}
        folders = [f"-mkdir {parent}" for parent in sorted(parents)]
        done = [0.0]
        for name in names:
            done.append(done[-1] + sizes[name])
        total = max(1.0, done[-1])

        def sent(commands: int) -> None:
            report(done[min(max(0, commands - len(folders) - 1), len(names))] / total)

        self._sftp(folder, there, [*folders, *(f"put {name} {name}" for name in names)], sent, aborted)

    def _sftp(
        self,
        folder: Path,
        there: str,
        lines: Sequence[str],
        report: Callable[[int], None],
        aborted: Aborted,
    ) -> None:
        """Run commands of sftp with the local and the remote folder as the current ones."""
        if not lines:
            return
        batch = "\n".join([f"cd {quote_sftp(there)}", *lines]) + "\n"
        command = ["sftp", *self._options(), "-b", "-", "--", self.host.address]
        connection = LineProcess(command, batch.encode(), folder=folder)
        count, heard = 0, time.monotonic()
        try:
            while (line := connection.line(1.0)) != b"":
                if aborted():
                    return
                if line is None:
                    if time.monotonic() - heard > _SECONDS_WITHOUT_FILE:
                        raise UnreachableError(f"{self.host.name}: the transfer does not go on")
                    continue
                heard = time.monotonic()
                if line.startswith(b"sftp>"):
                    count += 1
                    report(count - 1)
            status = connection.end(10.0)
        finally:
            connection.kill()
        if status:
            raise self._failure(connection, status, of_files=True)

    def _ask(self, ask: str, *, seconds: float = _SECONDS_FOR_ANSWER, **values: object) -> dict[str, Any]:
        """The one answer to a request."""
        connection = self._connect(ask, seconds_for_greeting=seconds, **values)
        try:
            line = connection.line(seconds)
            if line is None:
                raise UnreachableError(f"{self.host.name}: does not answer within {seconds:g} seconds")
            if not line:
                self._check_end(connection)
                raise UnreachableError(f"{self.host.name}: the connection ended early")
            return self._parsed(line)
        finally:
            connection.kill()

    def _connect(
        self, ask: str, *, seconds_for_greeting: float = _SECONDS_FOR_ANSWER, **values: object
    ) -> LineProcess:
        """Connection to a host service that was greeted by it."""
        request = {"protocol": PROTOCOL, "ask": ask, "folder": self.host.folder, **values}
        command = [
            "ssh",
            "-T",
            *self._options(),
            "--",
            self.host.address,
            f"{self.host.command} host-service",
        ]
        connection = LineProcess(command, json.dumps(request).encode() + b"\n")
        try:
            end = time.monotonic() + seconds_for_greeting
            for _ in range(_MOST_LINES_BEFORE):
                line = connection.line(max(0.0, end - time.monotonic()))
                if line is None:
                    raise UnreachableError(
                        f"{self.host.name}: does not answer within {seconds_for_greeting:g} seconds"
                    )
                if not line:
                    self._check_end(connection)
                    raise self._failure(connection, 0)
                text = line.decode("utf-8", "replace")
                if text.startswith(f"{GREETING} "):
                    number = text.removeprefix(f"{GREETING} ").split(" ")[0]
                    check_protocol(int(number) if number.isdecimal() else number, self.host.name)
                    return connection
            raise InputError(f"{self.host.name}: its shell prints too much before the host service answers")
        except BaseException:
            connection.kill()
            raise

    def _check_end(self, connection: LineProcess) -> None:
        if status := connection.end(10.0):
            raise self._failure(connection, status)

    def _failure(self, connection: LineProcess, status: int, *, of_files: bool = False) -> InputError:
        """Error of ssh or sftp that ended with a status."""
        name, said, all_said = self.host.name, connection.error, connection.errors
        if "Host key verification failed" in all_said or "HOST IDENTIFICATION HAS CHANGED" in all_said:
            changed = "HOST IDENTIFICATION HAS CHANGED" in all_said
            fact = "has another key than the one that is known" if changed else "has a key that is not known"
            return InputError(f"{name}: {fact}", code=ErrorCode.HOST_KEY_UNKNOWN, host=self.host.address)
        if "Permission denied (" in all_said:
            return InputError(
                f"{name}: refuses the login without a password ({said}); set up a key with ssh-copy-id, or an agent"
            )
        killed = status < 0 or status in _ENDED_BY_SIGNAL  # ssh here, or the service there
        if (
            status == 255
            or killed
            or (of_files and ("Connection closed" in all_said or "lost connection" in all_said))
        ):
            return UnreachableError(f"{name}: cannot be reached ({said or 'the connection was cut'})")
        if of_files and "write remote" in said:  # what sftp says of a full disk, without its name
            return InputError(f"{name}: files cannot be written there ({said}): free some space there")
        if of_files:
            return InputError(f"{name}: files cannot be transferred ({said or f'exit status {status}'})")
        if status == 127 or "not found" in said:
            return InputError(f"{name}: has no {self.host.command.split()[0]} ({said}); correct its command")
        return InputError(
            f"{name}: the command {self.host.command!r:.100} starts no napari-landmark with jobs "
            f"({said or f'exit status {status}'})"
        )

    def _options(self) -> list[str]:
        config = ["-F", self.host.ssh_config] if self.host.ssh_config else []
        return [*config, *(word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}"))]

    def _parsed(self, line: bytes) -> dict[str, Any]:
        """Answer of a line; InputError for one that tells an error or is no answer."""
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise InputError(f"{self.host.name}: its answer is not what the host service sends")
        if "error" in answer:
            code = answer.get("code")
            known = ErrorCode(code) if code in tuple(ErrorCode) else None
            raise InputError(f"{self.host.name}: {printable(str(answer['error']))[:1000]}", code=known)
        return answer


def quote_sftp(path: str) -> str:
    r"""A path as a word of a batch of sftp, which reads quotes and backslashes.

    Examples
    --------
    >>> print(quote_sftp('/home/a "b"\\c'))
    "/home/a \"b\"\\c"
    """
    if any(ord(letter) < 32 for letter in path):
        raise InputError(f"{path!r:.100}: control characters in a path")
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _files_to_send(folder: Path) -> dict[str, int]:
    """Sizes of the files of a job by name, its description last."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and _NAME_TO_SEND.fullmatch(name) and name not in (PROGRESS, DONE, WORKER_LOG):
            files[name] = path.stat().st_size
    return {**{name: size for name, size in files.items() if name != JOB}, JOB: files[JOB]}


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _is_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _decoded(text: object) -> bytes:
    try:
        data = base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise InputError("a host sent progress that is not what the host service sends") from None
    if len(data) > CHUNK:
        raise InputError("a host sent more progress at once than the host service does")
    return data


def _state(answer: Mapping[str, Any]) -> FolderState:
    silent = answer.get("silent_seconds")
    number = isinstance(silent, int | float) and not isinstance(silent, bool) and math.isfinite(silent)
    if answer.get("phase") not in tuple(Phase) or not number:
        raise InputError("a host sent a state that is not what the host service sends")
    return FolderState(Phase(answer["phase"]), float(silent or 0))


def _text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or len(value) > 4096:
        raise InputError(f"a host answered without {name}")
    return value if name == "folder" else printable(value)


def _whole(answer: Mapping[str, Any], name: str) -> int:
    value = answer.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InputError(f"a host answered without {name:.80}")
    return value
