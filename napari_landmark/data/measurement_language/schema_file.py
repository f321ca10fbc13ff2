"""Schema file: landmarks, links and measurements in one JSON file, to be passed on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.json_file import read_json_object, write_json_object
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.measurement_language.definition import MeasurementSchema, text

_VERSION = 1


@dataclass(frozen=True)
class SchemaFile:
    """Content of a schema file.

    Parameters
    ----------
    landmarks : LandmarkSchema
        With links.
    measurements : MeasurementSchema
        Of these landmarks.
    title : str
    source : str
        Where the definitions are from.

    Raises
    ------
    InputError
        A measurement names a landmark that is not there.
    """

    landmarks: LandmarkSchema
    measurements: MeasurementSchema = field(default_factory=MeasurementSchema)
    title: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        self.measurements.check_landmarks(self.landmarks.names)

    def to_json(self) -> dict[str, Any]:
        """Object for a JSON file."""
        return {
            "version": _VERSION,
            "title": self.title,
            "source": self.source,
            **self.landmarks.to_json(),
            **self.measurements.to_json(),
        }

    @classmethod
    def read(cls, path: str | Path) -> SchemaFile:
        """Read a schema file; a ``study.json`` is one as well.

        Raises
        ------
        InputError
            With the file, and the measurement or landmark that cannot be used.
        """
        path = Path(path)
        try:
            data = read_json_object(path)
        except FileNotFoundError:
            raise InputError(f"{path}: there is no such file") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        version = data.get("version", _VERSION)
        if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= _VERSION:
            raise InputError(
                f"{path}: is a schema of version {version!r}, known is {_VERSION}: update napari-landmark"
            )
        try:
            return cls(
                LandmarkSchema.from_json(data),
                MeasurementSchema.from_json(data),
                text(data.get("title", ""), "'title'"),
                text(data.get("source", ""), "'source'"),
            )
        except InputError as error:
            raise error.prefixed(path) from None

    def write(self, path: str | Path) -> None:
        """Write a schema file, whole or not at all; InputError where it cannot be written."""
        write_json_object(Path(path), self.to_json(), indent=1)


def is_schema_file(path: str | Path) -> bool:
    """Whether a file is a JSON object with a list 'landmarks', which landmark files do not have."""
    if Path(path).suffix.lower() != ".json":
        return False
    try:
        return isinstance(read_json_object(Path(path)).get("landmarks"), list)
    except (InputError, OSError, UnicodeDecodeError):
        return False
