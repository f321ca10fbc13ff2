"""Schemas of the files of studies, models and jobs, as JSON Schema (2020-12) and Frictionless Table Schema."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from napari_landmark.data.errors import InputError

SCHEMA_NAMES = (
    "study",
    "landmark-model",
    "volume-model",
    "registration-model",
    "job",
    "measurements",
    "images-table",
    "landmarks-table",
)
"""Names for `file_schema`."""


def file_schema(name: str) -> dict[str, Any]:
    """Schema of a kind of file.

    A schema says what this version writes and what it takes from others; readers check more than a schema can say, such
    as names that must agree. Entries that a schema does not list are kept by a study and ignored elsewhere.

    Parameters
    ----------
    name : str
        One of `SCHEMA_NAMES`. Those that end in 'table' are Table Schemas of Frictionless Data.

    Raises
    ------
    InputError
        There is no schema of that name.

    Examples
    --------
    >>> file_schema("study")["properties"]["version"]["const"]
    1
    """
    if name not in SCHEMA_NAMES:
        raise InputError(f"{name!r}: there is no such schema: known are {', '.join(SCHEMA_NAMES)}")
    content: dict[str, Any] = json.loads(
        files("napari_landmark.data.schemas").joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
    )
    return content
