"""Workers on this machine: child processes that go on when their starter ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from napari_landmark.backend.job_folder import (
    KILL,
    LAUNCHED,
    STOP,
    WATCHED,
    Phase,
    inspect_folder,
)
from napari_landmark.backend.launch import kill_worker, launch_worker
from napari_landmark.backend.machine import Aborted, Notify
from napari_landmark.data.files.atomic import atomic_write

_SECONDS_BETWEEN_LOOKS = 0.2


class LocalMachine:
    """The machine that the client runs on; nothing is sent or fetched.

    Parameters
    ----------
    command : str
        Words that start napari-landmark, as a shell would read them; this Python's by default.
    """

    outlives_client: ClassVar[bool] = True
    """Whether a worker goes on when the process of its client ends."""

    def __init__(self, command: str = "") -> None:
        self._command = command

    def start(self, job_id: str, folder: Path, *, report: Callable[[float], None], aborted: Aborted) -> None:
        """Start the worker, if it was not started yet."""
        if not (folder / LAUNCHED).exists() and inspect_folder(folder).phase is Phase.WAITING:
            launch_worker(folder, command=self._command)

    def follow(self, job_id: str, folder: Path, notify: Notify) -> None:
        """Look at the folder of the job until it ends or `notify` is false."""
        state = inspect_folder(folder)
        while notify(state) and state.phase not in (Phase.ENDED, Phase.DIED):
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            state = inspect_folder(folder)

    def stop(self, job_id: str, folder: Path) -> None:
        """Ask for a usable result."""
        request(folder, STOP)

    def kill(self, job_id: str, folder: Path) -> None:
        """End the worker at once."""
        request(folder, KILL)
        kill_worker(folder)

    def watch(self, job_id: str, folder: Path, image: str) -> None:
        """Ask for previews of an image."""
        watch(folder, image)

    def fetch(self, job_id: str, folder: Path, *, aborted: Aborted) -> None:
        """Do nothing: the results are here."""

    def remove(self, job_id: str, folder: Path) -> None:
        """Do nothing: the folder of the job is the client's, too."""


def request(folder: Path, name: str) -> None:
    """Make the file of a request, `STOP` or `KILL`."""
    atomic_write(folder / name, "")


def watch(folder: Path, image: str) -> None:
    """Write the name of the image that previews are wanted for."""
    atomic_write(folder / WATCHED, json.dumps(image) + "\n")
