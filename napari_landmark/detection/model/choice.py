"""Which of a study's models are there, and which one is taken where nobody chose; read without torch."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.data.study.study import Study


def model_folders(study: Study) -> list[Path]:
    """Folders of complete models, oldest first; those that a person renamed before the numbered ones."""
    return sorted((path.parent for path in study.models_dir.glob("*/model.json")), key=by_number)


def default_folder(study: Study) -> Path | None:
    """The newest model whose training was not stopped; one that was only where there is no other."""
    folders = model_folders(study)
    whole = [folder for folder in folders if not was_stopped(folder)]
    return next(iter((whole or folders)[-1:]), None)


def was_stopped(folder: Path) -> bool:
    """Whether a model works from part of its training."""
    path = folder / "model.json"
    try:
        return _was_stopped(path, path.stat().st_mtime_ns)
    except OSError:
        return True


def by_number(folder: Path) -> tuple[int, str]:
    """Sorts folders by their number, those without one first."""
    return (int(folder.name) if folder.name.isdecimal() else -1), folder.name


@lru_cache(maxsize=256)  # the viewer asks at every change of a landmark
def _was_stopped(path: Path, _changed: int) -> bool:
    complete = _entry(_read(path), "training").get("complete")
    if isinstance(complete, bool):
        return not complete
    return _read(path.with_name("history.json")).get("cancelled") is True  # as older versions say it


def _read(path: Path) -> dict:
    try:
        content = json.loads(read_small_text(path))
    except (OSError, ValueError, RecursionError):  # named when the model is loaded
        return {}
    return content if isinstance(content, dict) else {}


def _entry(content: dict, key: str) -> dict:
    entry = content.get(key)
    return entry if isinstance(entry, dict) else {}
