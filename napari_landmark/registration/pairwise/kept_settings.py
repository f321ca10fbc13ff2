"""Settings of work that goes on in a folder: a second call goes on only with the same ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.json_file import read_json_object, write_json_object


def keep_settings(path: Path, settings: dict[str, Any], *, what: str) -> None:
    """Write the settings, or compare them with those that are there.

    Parameters
    ----------
    path : Path
        File of the settings; its folder is made.
    settings : dict
        Plain values.
    what : str
        Contents of the folder, for the error.

    Raises
    ------
    InputError
        The folder holds results with other settings.
    """
    try:
        before = read_json_object(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json_object(path, settings)
        return
    now = json.loads(json.dumps(settings))
    differing = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if differing:
        told = ", ".join(_difference(name, before.get(name), now.get(name)) for name in differing)
        raise InputError(f"{path.parent}: holds {what} with other settings ({told}); give another folder")


def _difference(name: str, before: Any, now: Any) -> str:
    """What one setting was and is; lists and objects by their name alone."""
    if isinstance(before, (dict, list)) or isinstance(now, (dict, list)):
        return name
    return f"{name} {json.dumps(before)}, now {json.dumps(now)}"
