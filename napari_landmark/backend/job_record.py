"""Jobs that this user started, kept on this machine until they are removed: found again after a restart."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import platformdirs

from napari_landmark.backend.job_folder import check_job_id, make_private_folder, new_job_id
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.json_file import read_json_object, write_json_object

_VERSION = 1
_RECORD = "record.json"
CLIENT_LOCK = "client.lock"


class Step(StrEnum):
    """How far the client of a job has come."""

    MADE = "made"
    """Its folder is being filled."""
    READY = "ready"
    """It is to be sent and started."""
    STARTED = "started"
    FETCHED = "fetched"
    """Its results are in its folder here."""
    FINISHED = "finished"
    """They were taken over."""


@dataclass(frozen=True)
class JobRecord:
    """One job of this user.

    Parameters
    ----------
    path : Path
        Folder of the record.
    kind : str
        Kind of the job, see `job_file.KINDS`.
    step : Step
    host : str
        Name of the host that it runs on; empty for this machine.
    created : str
        Time (UTC, ISO 8601).
    about : mapping
        Plain values that whoever started it needs to take the results over, such as the folder of the study.
    """

    path: Path
    kind: str
    step: Step
    host: str = ""
    created: str = ""
    about: Mapping[str, Any] | None = None

    @property
    def job_id(self) -> str:
        """Name of the job."""
        return self.path.name

    @property
    def folder(self) -> Path:
        """Folder of the job itself on this machine, or of its copy."""
        return self.path / "job"

    @property
    def lock(self) -> Path:
        """File of the lock of the one client that follows the job."""
        return self.path / CLIENT_LOCK

    def at(self, step: Step) -> JobRecord:
        """The record after a step, saved."""
        changed = replace(self, step=step)
        changed.save()
        return changed

    def of_kind(self, kind: str) -> JobRecord:
        """The record of a job whose kind is known by now."""
        return replace(self, kind=kind)

    def save(self) -> None:
        """Write the record, whole or not at all."""
        values = {
            "version": _VERSION,
            "kind": self.kind,
            "step": self.step,
            "host": self.host,
            "created": self.created,
            "about": dict(self.about or {}),
        }
        write_json_object(self.path / _RECORD, values)

    def remove(self) -> None:
        """Remove the record and the folder of the job here."""
        shutil.rmtree(self.path, ignore_errors=True)


def jobs_folder() -> Path:
    """The folder of this user's records: NAPARI_LANDMARK_JOBS, or the system's for the state of programs."""
    if chosen := os.environ.get("NAPARI_LANDMARK_JOBS"):
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_state_path("napari-landmark", appauthor=False) / "jobs"


def new_record(kind: str, *, host: str = "", about: Mapping[str, Any] | None = None) -> JobRecord:
    """Make the private folder and the record of a new job; InputError where they cannot be made."""
    path = make_private_folder(make_private_folder(jobs_folder()) / new_job_id())
    created = datetime.now(UTC).isoformat(timespec="seconds")
    record = JobRecord(path, kind, Step.MADE, host, created, about)
    make_private_folder(record.folder)
    record.save()
    return record


def read_record(job_id: str) -> JobRecord:
    """The record of a job by its name; InputError where there is none, or it is damaged."""
    path = jobs_folder() / check_job_id(job_id)
    try:
        values = read_json_object(path / _RECORD)
    except OSError:
        raise InputError(f"{job_id}: there is no such job") from None
    try:
        if values["version"] != _VERSION:
            raise ValueError("it is of another version")
        kind, host, created, about = (values[key] for key in ("kind", "host", "created", "about"))
        if not all(isinstance(text, str) for text in (kind, host, created)) or not isinstance(about, dict):
            raise TypeError("it has wrong values")
        return JobRecord(path, kind, Step(values["step"]), host, created, about)
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path / _RECORD}: cannot be used ({error}); remove the job") from error


def list_records() -> list[JobRecord]:
    """The readable records of this user, the oldest first."""
    folder, found = jobs_folder(), []
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            with contextlib.suppress(InputError):
                found.append(read_record(path.name))
    return found
