"""Workers in threads of this process: where no other process can be started, and for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from napari_landmark.backend.job_file import KINDS
from napari_landmark.backend.job_folder import LAUNCHED, write_launched
from napari_landmark.backend.local_machine import LocalMachine
from napari_landmark.backend.machine import Aborted
from napari_landmark.backend.worker import run_worker


class InProcessMachine(LocalMachine):
    """Machine whose workers are threads: they end with the process, and cannot be ended at once.

    Parameters
    ----------
    kinds : mapping of str to type
        Jobs that the workers do, by the name of their kind.
    """

    outlives_client: ClassVar[bool] = False

    def __init__(self, kinds: Mapping[str, type[Any]] = KINDS) -> None:
        super().__init__()
        self._kinds = kinds

    def start(self, job_id: str, folder: Path, *, report: Callable[[float], None], aborted: Aborted) -> None:
        """Start the worker, if it was not started yet."""
        if (folder / LAUNCHED).exists():
            return
        write_launched(folder, pid=None, queued=False)
        threading.Thread(
            target=lambda: run_worker(folder, kinds=self._kinds, own_process=False),
            name="landmark worker",
            daemon=True,
        ).start()
