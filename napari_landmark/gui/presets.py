"""Schemas of landmarks and measurements that a new study can begin with."""

from __future__ import annotations

from collections.abc import Callable

from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.measurement_language.schema_file import SchemaFile
from napari_landmark.measurement.presets.preset import PRESET_NAMES, preset
from napari_landmark.synthetic.schemas import HAND_TITLE, HEAD_TITLE, hand_schema, head_schema


def unnamed() -> SchemaFile:
    """Schema of one landmark, for users who name landmarks while they place them."""
    return SchemaFile(LandmarkSchema(("landmark 1",)), title="I name them while placing")


def _made(name: str) -> Callable[[], SchemaFile]:
    return lambda: preset(name)


PRESETS: dict[str, Callable[[], SchemaFile]] = {
    unnamed().title: unnamed,
    **{preset(name).title: _made(name) for name in PRESET_NAMES},
    HAND_TITLE: hand_schema,
    HEAD_TITLE: head_schema,
}
"""Functions that make a schema, by the title that the user selects."""
