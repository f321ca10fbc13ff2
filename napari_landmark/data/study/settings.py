"""What ``study.json`` holds: the template, where the images lie, a spacing, renamed landmarks."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema

Spacing = float | tuple[float, ...] | None


def check_settings(data: Mapping[str, Any]) -> None:
    """Refuse (InputError) values of another kind than `study_settings` writes."""
    if not isinstance(data.get("template", ""), str):
        raise InputError("'template' must be text")
    for key in ("images", "images_absolute"):
        if not isinstance(data.get(key), str | None):
            raise InputError(f"{key!r} must be text")
    for key in ("extra", "extra_absolute"):
        extra = data.get(key, [])
        if not isinstance(extra, list) or not all(isinstance(path, str) for path in extra):
            raise InputError(f"{key!r} must be a list of texts")
    renamed = data.get("renamed", {})
    if not isinstance(renamed, dict) or not all(isinstance(name, str) for name in renamed.values()):
        raise InputError("'renamed' must be names by names")


def study_settings(
    folder: Path,
    schema: LandmarkSchema,
    images: str | Path | None,
    template: str,
    spacing: float | Sequence[float] | None,
    extra: Sequence[str | Path],
) -> dict[str, Any]:
    """What study.json says besides version and date: places of images as they lie to the study, and as a whole.

    Raises
    ------
    InputError
        A spacing is not a positive number.
    """

    def absolute(path: str | Path) -> str:
        return Path(path).resolve().as_posix()

    def place(path: str | Path) -> str:
        # Relative, so that study and images can be moved together.
        try:
            return Path(os.path.relpath(Path(path).resolve(), folder.resolve())).as_posix()
        except ValueError:  # on another drive
            return absolute(path)

    return {
        "template": template,
        "images": None if images is None else place(images),
        "images_absolute": None if images is None else absolute(images),
        "extra": [place(path) for path in extra],
        "extra_absolute": [absolute(path) for path in extra],
        "spacing": checked_spacing(spacing),
        **schema.to_json(),
    }


def checked_spacing(spacing: object) -> Spacing:
    """One value or one for each axis; InputError for anything but positive numbers."""
    if spacing is None:
        return None
    values = tuple(spacing) if isinstance(spacing, Sequence) and not isinstance(spacing, str) else (spacing,)
    for value in values:
        if not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
            raise InputError(f"a spacing of {value!r}: expected positive millimetres per pixel")
    return float(values[0]) if len(values) == 1 else tuple(float(value) for value in values)
