"""Interface of a machine that runs workers: this one, or another one that is reached through OpenSSH."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from napari_landmark.backend.job_folder import FolderState
from napari_landmark.data.errors import ErrorCode, InputError

Notify = Callable[[FolderState], bool]
"""Called with the state of a job, at least every few seconds; returns whether to go on following it."""

Aborted = Callable[[], bool]
"""Tells whether a transfer shall be given up."""


class UnreachableError(InputError):
    """A machine does not answer now; the same request may succeed later."""

    def __init__(
        self, message: str, *, code: ErrorCode | None = ErrorCode.UNREACHABLE, **more: object
    ) -> None:
        super().__init__(message, code=code, **more)


class Machine(Protocol):
    """Machine that runs workers. Every method may raise `UnreachableError`, and may then be called again.

    `folder` is the local folder of the job: the job's own on this machine, a copy of it for another machine.
    """

    def start(self, job_id: str, folder: Path, *, report: Callable[[float], None], aborted: Aborted) -> None:
        """Send what the worker needs, and start it once, however often this is called.

        Parameters
        ----------
        report : callable
            Called with the part that was sent, 0..1.
        """

    def follow(self, job_id: str, folder: Path, notify: Notify) -> None:
        """Append to ``progress.jsonl`` in `folder` what the worker wrote since, until it ends or `notify` is false."""

    def stop(self, job_id: str, folder: Path) -> None:
        """Ask for a usable result."""

    def kill(self, job_id: str, folder: Path) -> None:
        """End the worker at once."""

    def watch(self, job_id: str, folder: Path, image: str) -> None:
        """Tell the worker the name of the image that previews are wanted for."""

    def fetch(self, job_id: str, folder: Path, *, aborted: Aborted) -> None:
        """Fetch ``done.json`` and the files of the result into `folder`."""

    def remove(self, job_id: str, folder: Path) -> None:
        """Remove what a finished job left on the machine."""
