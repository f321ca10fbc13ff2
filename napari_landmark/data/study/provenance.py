"""What a result was made of, in a JSON file beside it: command, versions, data, and where the spacing came from.

Names of files stand there as they lie to the result, never as a whole path: a result may be passed on, and folders
are often called after people.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from napari_landmark.data.files.atomic import atomic_write
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
    """Write ``RESULT.run.json`` beside a result that was written already; returns its path.

    Parameters
    ----------
    result : Path
        The file; where it is several ones, what they are called after.
    command : str
        What made it.
    arguments : mapping
        With what; paths become their last part.
    files : sequence of Path, optional
        Several files that are the result together.
    geometries : iterable of Geometry, optional
        Of the images: it is counted where their spacing came from.
    more
        Anything else that decides the result, such as the model and a fingerprint of the images.
    """
    record = {
        "result": result.name,
        "sha256": {file.name: sha256(file) for file in files} if files else sha256(result),
        "command": command,
        "arguments": {key: _told(value) for key, value in arguments.items() if value is not None},
        **more,
        "spacing": dict(Counter(geometry.spacing_statement for geometry in geometries)),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
    }
    path = result.with_name(result.name + _ENDING)
    atomic_write(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return path


def is_run_record(path: Path) -> bool:
    """Whether a file is called like what `write_run_record` writes."""
    return path.name.endswith(_ENDING)


def versions() -> dict[str, str]:
    """Of Python and of the packages that results hang on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def sha256(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def describe_spacing(geometries: Iterable[Geometry]) -> str:
    """Where the spacing of images came from, in a line for people.

    Examples
    --------
    >>> describe_spacing([Geometry((9, 9)), Geometry((9, 9), (0.1, 0.1))])
    'spacing: user (1 image), unknown (1 image, in pixels)'
    """
    counts = Counter(geometry.spacing_statement for geometry in geometries)
    parts = [
        f"{statement} ({count} image{'s' * (count > 1)}{', in pixels' * (statement == 'unknown')})"
        for statement, count in sorted(counts.items())
    ]
    return f"spacing: {', '.join(parts)}"


def _told(value: Any) -> Any:
    if isinstance(value, Path):
        return value.name
    if isinstance(value, list | tuple):
        return [_told(item) for item in value]
    return value
