"""Provenance of a result in a JSON file beside it: command, versions, data and the source of the spacing.

Files appear by name, never by a whole path: a result may be passed on, and folders are often called after patients.
"""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from napari_landmark.data.files.json_file import write_json_object
from napari_landmark.data.geometry import Geometry

_ENDING = ".run.json"
_PACKAGES = ("napari-landmark", "torch", "numpy", "scipy", "SimpleITK", "pydicom", "pillow")


def write_run_record(
    result: Path,
    command: str,
    arguments: Mapping[str, Any],
    *,
    files: Sequence[Path] = (),
    geometries: Iterable[Geometry] = (),
    **more: Any,
) -> Path:
    """Write ``RESULT.run.json`` beside an existing result and return its path.

    Parameters
    ----------
    result : Path
        File of the result; with `files`, the common part of their names.
    command : str
        Name of the command.
    arguments : mapping
        Its arguments; paths become their last part.
    files : sequence of Path, optional
        Files of a result of several files.
    geometries : iterable of Geometry, optional
        Geometries of the images; the sources of their spacing are counted.
    **more
        Other values that determine the result, such as the model and a fingerprint of the images.
    """
    record = {
        "result": result.name,
        "sha256": {file.name: sha256(file) for file in files} if files else sha256(result),
        "command": command,
        "arguments": {key: value for key, value in arguments.items() if value is not None},
        **more,
        "spacing": dict(Counter(geometry.spacing_statement for geometry in geometries)),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
    }
    path = result.with_name(result.name + _ENDING)
    write_json_object(path, record)
    return path


def is_run_record(path: Path) -> bool:
    """Recognize the name of a run record."""
    return path.name.endswith(_ENDING)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that determine results."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def sha256(path: Path) -> str:
    """SHA-256 of the content of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def describe_spacing(geometries: Iterable[Geometry]) -> str:
    """Sources of the spacing of images in one line of text.

    Examples
    --------
    >>> describe_spacing([Geometry((9, 9)), Geometry((9, 9), (0.1, 0.1))])
    'spacing: unknown (1 image, in pixels), user (1 image)'
    """
    counts = Counter(geometry.spacing_statement for geometry in geometries)
    parts = [
        f"{statement} ({count} image{'s' * (count > 1)}{', in pixels' * (statement == 'unknown')})"
        for statement, count in sorted(counts.items())
    ]
    return f"spacing: {', '.join(parts)}"
