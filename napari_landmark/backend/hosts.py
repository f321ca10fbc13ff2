"""Hosts: other machines that jobs can run on, as this user described them. No password is ever kept."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import platformdirs

from napari_landmark.backend.launch import fill_template, split_words
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.files.json_file import read_json_object, write_json_object

DEFAULT_COMMAND = "napari-landmark"
DEFAULT_FOLDER = "~/.napari-landmark-jobs"
_VERSION = 1
# No leading dash, which ssh would take for an option; no colon, which sftp takes for a path.
_ADDRESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,252}")
_NAME = re.compile(r"[\w][\w .-]{0,63}")
_LONGEST = 2000


@dataclass(frozen=True, kw_only=True)
class Host:
    """Machine that is reached through OpenSSH.

    Parameters
    ----------
    name : str
        For this user.
    address : str
        Host, USER@HOST, or the name of an entry in OpenSSH's own configuration, which also has port and key.
    command : str
        What starts napari-landmark there, read by the user's shell there.
    folder : str
        Folder for jobs there, absolute or from ``~``.
    start : str
        Command of a queue, see `launch.launch_worker`; empty starts the worker at once.
    stop : str
        Command that takes a job out of the queue, see `launch.kill_worker`.
    paths : mapping of str to str
        Folders here to the same folders there; images below them are not sent.
    ssh_config : str
        File of options for ssh and sftp instead of the user's own; empty for that.

    Raises
    ------
    InputError
        A value cannot be used.
    """

    name: str
    address: str
    command: str = DEFAULT_COMMAND
    folder: str = DEFAULT_FOLDER
    start: str = ""
    stop: str = ""
    paths: Mapping[str, str] = field(default_factory=dict)
    ssh_config: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"host {self.name!r:.80}: give a name of letters, digits, spaces, dots and dashes"
            )
        if not _ADDRESS.fullmatch(self.address):
            raise InputError(
                f"host {self.name}: the address {self.address!r:.80} is none for ssh: give HOST or USER@HOST, "
                "and a port in the configuration of OpenSSH"
            )
        texts = (
            self.command,
            self.folder,
            self.start,
            self.stop,
            self.ssh_config,
            *self.paths,
            *self.paths.values(),
        )
        for text in texts:
            if len(text) > _LONGEST or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
                raise InputError(f"host {self.name}: {text!r:.60} has control characters, or is too long")
        if not split_words(self.command):
            raise InputError(f"host {self.name}: the command that starts napari-landmark there is empty")
        if not self.folder.startswith(("/", "~/")):
            raise InputError(f"host {self.name}: the folder {self.folder!r:.80} must begin with / or ~/")
        for template in filter(None, (self.start, self.stop)):
            fill_template(template)
        for here, there in self.paths.items():
            if not Path(here).is_absolute() or not there.startswith("/"):
                raise InputError(f"host {self.name}: {here!r:.80} to {there!r:.80}: give absolute folders")

    def path_there(self, path: Path) -> str | None:
        """The path of a file or folder on the host; None where no folder above it is on both machines."""
        absolute = path.resolve()
        longest = sorted(self.paths.items(), key=lambda pair: -len(Path(pair[0]).parts))
        for here, there in longest:
            for folder in (Path(here), Path(here).resolve()):
                if absolute.is_relative_to(folder):
                    return str(PurePosixPath(there, *absolute.relative_to(folder).parts))
        return None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "address": self.address,
            "command": self.command,
            "folder": self.folder,
            "start": self.start,
            "stop": self.stop,
            "paths": dict(self.paths),
            "ssh_config": self.ssh_config,
        }

    @classmethod
    def from_json(cls, values: object) -> Host:
        """The host of plain values; InputError for anything that `to_json` does not write."""
        known = {"name", "address", "command", "folder", "start", "stop", "paths", "ssh_config"}
        if not isinstance(values, dict) or not {"name", "address"} <= set(values) <= known:
            raise InputError("an entry that is no host")
        paths = values.get("paths", {})
        texts = [value for key, value in values.items() if key != "paths"]
        if not isinstance(paths, dict) or not all(isinstance(t, str) for t in (*texts, *paths.values())):
            raise InputError(f"host {values['name']!r:.60}: has values that are no texts")
        return cls(**values)


def hosts_file() -> Path:
    """File of this user's hosts, in NAPARI_LANDMARK_CONFIG or the system's folder for configurations."""
    if chosen := os.environ.get("NAPARI_LANDMARK_CONFIG"):
        return Path(chosen).expanduser() / "hosts.json"
    return platformdirs.user_config_path("napari-landmark", appauthor=False) / "hosts.json"


def read_hosts() -> dict[str, Host]:
    """The hosts of this user by name; empty without a file.

    Raises
    ------
    InputError
        The file is damaged, or an entry cannot be used.
    """
    path = hosts_file()
    try:
        content = read_json_object(path)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if content.get("version") != _VERSION or not isinstance(content.get("hosts"), list):
        raise InputError(f"{path}: is not what this version writes: correct or remove it")
    try:
        hosts = [Host.from_json(values) for values in content["hosts"]]
    except InputError as error:
        raise error.prefixed(path) from error
    return {host.name: host for host in hosts}


def find_host(name: str) -> Host:
    """The host of that name; InputError with `ErrorCode.UNKNOWN_HOST` where there is none."""
    hosts = read_hosts()
    if name not in hosts:
        known = ", ".join(hosts) or "none"
        raise InputError(
            f"host {name!r:.80}: is not known (known: {known})", code=ErrorCode.UNKNOWN_HOST, name=name
        )
    return hosts[name]


def save_host(host: Host) -> None:
    """Add a host, or replace the one of that name."""
    _write({**read_hosts(), host.name: host})


def remove_host(name: str) -> None:
    """Forget a host; InputError where there is none of that name."""
    find_host(name)
    _write({key: host for key, host in read_hosts().items() if key != name})


def _write(hosts: Mapping[str, Host]) -> None:
    values = {"version": _VERSION, "hosts": [host.to_json() for host in hosts.values()]}
    write_json_object(hosts_file(), values)
