"""Studies that this user opened last."""

from __future__ import annotations

import contextlib
from pathlib import Path

from napari_landmark.backend.hosts import hosts_file
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.json_file import read_json_object, write_json_object
from napari_landmark.data.study.study import Study

_MOST = 8


def recent_studies() -> list[Path]:
    """Folders of the studies that were opened last, the newest first; those that are not there now are left out."""
    return [folder for folder in _read() if Study.exists(folder)]


def remember_study(folder: Path) -> None:
    """Put a study first; nothing happens where the user's folder for configurations cannot be written."""
    folder = folder.absolute()
    others = [other for other in _read() if other != folder]
    content = {"version": 1, "studies": [str(path) for path in (folder, *others)][:_MOST]}
    with contextlib.suppress(OSError, InputError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_json_object(_file(), content)


def _file() -> Path:
    return hosts_file().with_name("recent_studies.json")


def _read() -> list[Path]:
    try:
        found = read_json_object(_file()).get("studies")
    except (OSError, InputError):
        return []
    return [Path(text) for text in found if isinstance(text, str)] if isinstance(found, list) else []
