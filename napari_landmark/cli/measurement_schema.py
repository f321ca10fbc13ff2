"""Schema of measurements as an argument of commands: a file, or a preset by its name."""

from __future__ import annotations

from pathlib import Path

from napari_landmark.data.measurement_language.schema_file import SchemaFile
from napari_landmark.measurement.presets.preset import preset


def read_measurement_schema(text: str) -> SchemaFile:
    """Schema of a file, or of a preset by its name; InputError for a damaged file, or an unknown name."""
    if not Path(text).exists() and not Path(text).suffix:
        return preset(text)
    return SchemaFile.read(Path(text))
