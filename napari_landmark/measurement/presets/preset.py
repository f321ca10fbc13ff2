"""Schema files that come with the package."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import did_you_mean
from napari_landmark.data.measurement_language.schema_file import SchemaFile

PRESET_NAMES = (
    "cephalometric",
    "cephalometric_extended",
    "hip_knee_ankle",
    "hip",
    "spine_cobb",
    "hallux",
)
"""Names of the presets, in the order of menus."""


@cache
def preset(name: str) -> SchemaFile:
    """A preset by its name; InputError with the known names for another one."""
    if name not in PRESET_NAMES:
        raise InputError(
            f"there is no preset {name!r}{did_you_mean(name, PRESET_NAMES)}; known are {', '.join(PRESET_NAMES)}"
        )
    with as_file(files(__package__) / f"{name}.json") as path:
        return SchemaFile.read(path)
