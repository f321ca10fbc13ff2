"""Child process that answers in lines: read with limits and timeouts, whatever the other end sends."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from napari_landmark.backend.job_folder import printable_error
from napari_landmark.data.errors import InputError

LONGEST_LINE = 1024**2
_WAITING_LINES = 64
_ERROR_BYTES = 8192


class LineProcess:
    """Process whose standard output is read line by line.

    Parameters
    ----------
    command : sequence of str
    request : bytes
        Written to its standard input, which is then closed.
    folder : Path, optional
        Its working folder.

    Raises
    ------
    InputError
        The program is not installed.
    """

    def __init__(self, command: Sequence[str], request: bytes, *, folder: Path | None = None) -> None:
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                env={**os.environ, "LC_ALL": "C.UTF-8"},  # messages are recognized
            )
        except OSError as error:
            raise InputError(
                f"{command[0]}: cannot be started ({error.strerror or error}); install OpenSSH's client"
            ) from error
        self._lines: queue.Queue[bytes] = queue.Queue(_WAITING_LINES)
        self._errors = b""
        self._threads = [
            threading.Thread(target=target, args=arguments, daemon=True)
            for target, arguments in (
                (self._read_lines, ()),
                (self._read_errors, ()),
                (self._write, (request,)),
            )
        ]
        for thread in self._threads:
            thread.start()

    def line(self, seconds: float) -> bytes | None:
        """The next line without its end; empty at the end of the output, None where none came in time."""
        try:
            return self._lines.get(timeout=seconds)
        except queue.Empty:
            return None

    def end(self, seconds: float) -> int:
        """Exit status; the process is killed where it does not end in time."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()

    def kill(self) -> None:
        """End the process at once."""
        with contextlib.suppress(OSError):
            self._process.kill()
        # A reader that waits for room must not wait for ever.
        end = time.monotonic() + 2
        while self._threads[0].is_alive() and time.monotonic() < end:
            with contextlib.suppress(queue.Empty):
                self._lines.get(timeout=0.05)
        self._process.wait()

    @property
    def error(self) -> str:
        """The last line that the process wrote to standard error."""
        self._threads[1].join(1)
        return printable_error(self._errors)

    @property
    def errors(self) -> str:
        """The end of all that the process wrote to standard error."""
        self._threads[1].join(1)
        return self._errors.decode("utf-8", "replace")

    def _read_lines(self) -> None:
        if (stream := self._process.stdout) is not None:
            with stream:
                while line := stream.readline(LONGEST_LINE):
                    self._lines.put(line.rstrip(b"\r\n") or b" ")
        self._lines.put(b"")

    def _read_errors(self) -> None:
        if (stream := self._process.stderr) is not None:
            with stream:
                while data := os.read(stream.fileno(), _ERROR_BYTES):
                    self._errors = (self._errors + data)[-_ERROR_BYTES:]

    def _write(self, request: bytes) -> None:
        if (stream := self._process.stdin) is not None:
            with contextlib.suppress(OSError), stream:
                stream.write(request)
