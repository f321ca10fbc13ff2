"""Interface of a job, and its description as plain values of JSON."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from napari_landmark.backend.progress_file import HostState
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.progress import CancelToken, Progress

Log = Callable[[str], None]
ShowPreview = Callable[[str, LandmarkSet], None]
"""Called with the name of an image and its landmarks as the model of a running training predicts them."""

_LONGEST_TEXT = 4096
_MOST_VALUES = 100_000
_LARGEST_INTEGER = 2**53


@dataclass(frozen=True, kw_only=True)
class JobMonitor:
    """Callbacks and requests of one running job.

    Parameters
    ----------
    folder : Path
        Folder of the job.
    progress : Progress
    cancel : CancelToken
    log : callable
        Called with lines of text for the user.
    preview : callable
        See `ShowPreview`.
    watched : callable
        Name of the image that the user looks at; empty where nobody does.
    device : callable
        Called with the name of the device that is computed on and the duration of the work in words.
    host_state : callable
        Called with the state of the job on a host that this job follows.
    """

    folder: Path
    progress: Progress
    cancel: CancelToken
    log: Log
    preview: ShowPreview
    watched: Callable[[], str]
    device: Callable[[str, str], None]
    host_state: Callable[[HostState], None]


class KilledError(Exception):
    """The work was ended at once elsewhere: there is no result."""


class Job(Protocol):
    """Description of work: a frozen dataclass of plain values and paths.

    Attributes
    ----------
    KIND : str
        Name of this kind of job in ``job.json``.
    """

    KIND: ClassVar[str]

    def run(self, monitor: JobMonitor) -> dict[str, Any]:
        """Do the work; returns plain values for ``done.json``, `cancelled` among them where it was cancelled."""


AnyJob = TypeVar("AnyJob")


def job_parameters(job: Any) -> dict[str, Any]:
    """Plain values of a job; paths as texts."""
    return {field.name: _plain(getattr(job, field.name)) for field in dataclasses.fields(job)}


def parse_job(kind: type[AnyJob], values: Mapping[str, Any], folder: Path) -> AnyJob:
    """Job of a kind from plain values; relative paths begin at `folder`.

    Raises
    ------
    InputError
        A value is missing, unknown, or of another type.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(fields)):
        raise InputError(f"has the unknown entry {unknown[0]!r:.60}")
    parsed = {}
    for name, field in fields.items():
        if name in values:
            try:
                parsed[name] = _parsed(hints[name], values[name], folder)
            except (TypeError, ValueError):
                raise InputError(f"its {name!r} cannot be {values[name]!r:.60}") from None
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"lacks {name!r}")
    return kind(**parsed)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _parsed(hint: Any, value: Any, folder: Path) -> Any:
    """A plain value as a type hint wants it; ValueError or TypeError for anything else."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        for option in arguments:
            try:
                return _parsed(option, value, folder)
            except (TypeError, ValueError):
                continue
        raise TypeError
    if origin is tuple:
        if not isinstance(value, list) or len(value) > _MOST_VALUES:
            raise TypeError
        return tuple(_parsed(arguments[0], item, folder) for item in value)
    if origin is dict:
        if not isinstance(value, dict) or len(value) > _MOST_VALUES:
            raise TypeError
        return {
            _parsed(arguments[0], key, folder): _parsed(arguments[1], item, folder)
            for key, item in value.items()
        }
    if hint is type(None):
        if value is not None:
            raise TypeError
        return None
    return _parsed_scalar(hint, value, folder)


def _parsed_scalar(hint: Any, value: Any, folder: Path) -> Any:
    if hint is bool or isinstance(value, bool):
        if hint is not bool or not isinstance(value, bool):
            raise TypeError
        return value
    if hint is float and isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    if hint is int and isinstance(value, int) and abs(value) <= _LARGEST_INTEGER:
        return value
    if hint in (str, Path) and isinstance(value, str) and len(value) <= _LONGEST_TEXT and "\0" not in value:
        return value if hint is str else folder / value
    raise TypeError
