"""Schema of measurements as an argument of commands: a file, or a preset by its name."""

from __future__ import annotations

from pathlib import Path

from napari_landmark.data.measurement_language.schema_file import SchemaFile
from napari_landmark.measurement.presets.preset import PRESET_NAMES, preset


def read_measurement_schema(text: str) -> SchemaFile:
    """Schema of a file, a study, or a preset by its name; InputError for a damaged file, or an unknown name."""
    path = Path(text)
    if text in PRESET_NAMES or (not path.exists() and not path.suffix):
        return preset(text)
    return SchemaFile.read(path / "study.json" if path.is_dir() else path)
