"""Machines by the record of a job: this one, or a host."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from napari_landmark.backend.hosts import find_host
from napari_landmark.backend.in_process_machine import InProcessMachine
from napari_landmark.backend.job_record import JobRecord
from napari_landmark.backend.local_machine import LocalMachine
from napari_landmark.backend.machine import Machine
from napari_landmark.backend.ssh_machine import SshMachine

WORKERS = "NAPARI_LANDMARK_WORKERS"
"""Environment variable; with the value ``thread`` the jobs of the viewer are done in threads of it."""


def machine_of(record: JobRecord) -> Machine:
    """The machine that a job runs on; InputError where its host is not known any more."""
    return SshMachine(find_host(record.host)) if record.host else LocalMachine()


def this_machine(kinds: Mapping[str, type[Any]]) -> LocalMachine:
    """The machine of this process, whose workers are processes, or threads where the environment says so.

    Parameters
    ----------
    kinds : mapping of str to type
        Jobs that threads do, by the name of their kind; a process knows them all.
    """
    return InProcessMachine(kinds) if os.environ.get(WORKERS) == "thread" else LocalMachine()
