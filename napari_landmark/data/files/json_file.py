"""JSON files that hold one object, such as the settings of a study or the record of a run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.small_file import read_small_text


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises
    ------
    OSError
        The file cannot be read.
    InputError
        It is too large, damaged, or holds something else than an object.
    """
    try:
        content = json.loads(read_small_text(path))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is damaged ({error}): take it from a backup") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no JSON object: take it from a backup")
    return content


def write_json_object(path: Path, record: Mapping[str, Any], *, indent: int | None = 1) -> None:
    """Write an object, whole or not at all; its values may be all that `plain_value` takes."""
    atomic_write(path, json_content(record, indent=indent))


def json_content(record: Mapping[str, Any], *, indent: int | None = 1) -> str:
    """Content of the file that `write_json_object` writes."""
    return json.dumps(plain_value(record), indent=indent, ensure_ascii=False) + "\n"


def plain_value(value: Any) -> Any:
    """A value of JSON for a value of Python.

    Dataclasses and mappings become objects, sequences become lists, enumerations their values. A path becomes its
    last part: a file may be passed on, and folders are often called after patients.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    if isinstance(value, Path):
        return value.name
    return value.value if isinstance(value, Enum) else value
