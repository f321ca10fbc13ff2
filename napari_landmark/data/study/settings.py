"""Settings of a study: its landmarks, template, folder of images, spacing and renamed landmarks."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.composed_name import composed_name
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.data.sides import Sides

Spacing = float | tuple[float, ...] | None
"""Millimetres per pixel: one value, or one for each axis in array axis order."""
_KEYS = (
    "template",
    "images",
    "images_absolute",
    "extra",
    "extra_absolute",
    "extra_names",
    "spacing",
    "renamed",
    "sides",
    "landmarks",
    "links",
    "facing",
    "constructions",
    "measurements",
    "curves",
)


@dataclass(frozen=True)
class StudySettings:
    """Content of ``study.json``.

    Parameters
    ----------
    schema : LandmarkSchema
        The landmarks.
    template : str
        Name of the template image; empty where none was chosen.
    images, images_absolute : str, optional
        Folder of the images relative to the study, and its absolute path.
    extra, extra_absolute : tuple of str
        Images outside that folder, in both forms.
    extra_names : tuple of str
        Their names, empty for one whose name follows from its path; empty where no name is recorded.
    spacing : float or tuple of float, optional
        Millimetres per pixel given by the user.
    renamed : mapping of str to str
        Old names to current names of landmarks.
    sides : Sides, optional
        Names in mirror images, as the user chose; None where nobody did.
    measurements : MeasurementSchema
        What is measured between the landmarks.
    other : mapping
        Version, date, and keys of the file that this version does not know; they are kept.
    """

    schema: LandmarkSchema
    template: str = ""
    images: str | None = None
    images_absolute: str | None = None
    extra: tuple[str, ...] = ()
    extra_absolute: tuple[str, ...] = ()
    extra_names: tuple[str, ...] = ()
    spacing: Spacing = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    sides: Sides | None = None
    measurements: MeasurementSchema = field(default_factory=MeasurementSchema)
    other: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The object of ``study.json``."""
        return {
            **self.other,
            "template": self.template,
            "images": self.images,
            "images_absolute": self.images_absolute,
            "extra": list(self.extra),
            "extra_absolute": list(self.extra_absolute),
            **({"extra_names": list(self.extra_names)} if any(self.extra_names) else {}),
            "spacing": self.spacing,
            **self.schema.to_json(),
            **self.measurements.to_json(),
            **({"renamed": dict(self.renamed)} if self.renamed else {}),
            **({} if self.sides is None else {"sides": self.sides.to_json()}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Settings from the object of ``study.json``.

        Raises
        ------
        InputError
            A value has another kind than `to_json` writes.
        """
        schema = LandmarkSchema.from_json(data)
        spacing = checked_spacing(data.get("spacing"))
        if not isinstance(template := data.get("template", ""), str):
            raise InputError("'template' must be text")
        for key in ("images", "images_absolute"):
            if not isinstance(data.get(key), str | None):
                raise InputError(f"{key!r} must be text")
        for key in ("extra", "extra_absolute", "extra_names"):
            extra = data.get(key, [])
            if not isinstance(extra, list) or not all(isinstance(path, str) for path in extra):
                raise InputError(f"{key!r} must be a list of texts")
        renamed = data.get("renamed", {})
        if not isinstance(renamed, dict) or not all(isinstance(name, str) for name in renamed.values()):
            raise InputError("'renamed' must be names by names")
        return cls(
            schema,
            composed_name(template),
            data.get("images"),
            data.get("images_absolute"),
            tuple(data.get("extra", [])),
            tuple(data.get("extra_absolute", [])),
            tuple(map(composed_name, data.get("extra_names", []))),
            spacing,
            {composed_name(old): composed_name(new) for old, new in renamed.items()},
            Sides.from_json(data["sides"]) if "sides" in data else None,
            MeasurementSchema.from_json(data),
            {key: value for key, value in data.items() if key not in _KEYS},
        )

    @property
    def extra_pairs(self) -> list[tuple[str, str | None]]:
        """Images outside the folder as pairs of relative and absolute path; None where that is not recorded."""
        known = len(self.extra_absolute) == len(self.extra)
        absolute = self.extra_absolute if known else (None,) * len(self.extra)
        return list(zip(self.extra, absolute, strict=True))

    @property
    def names_of_extra(self) -> tuple[str, ...]:
        """Name of each image outside the folder; empty where it follows from its path."""
        known = len(self.extra_names) == len(self.extra)
        return self.extra_names if known else ("",) * len(self.extra)


def relative_and_absolute(path: str | Path, folder: Path) -> tuple[str, str]:
    """A path relative to a folder, so that both can be moved together, and its absolute form."""
    absolute = Path(path).resolve().as_posix()
    try:
        return Path(os.path.relpath(Path(path).resolve(), folder.resolve())).as_posix(), absolute
    except ValueError:  # on another drive
        return absolute, absolute


def checked_spacing(spacing: object) -> Spacing:
    """One value or one for each axis; InputError for anything but positive numbers."""
    if spacing is None:
        return None
    values = tuple(spacing) if isinstance(spacing, Sequence) and not isinstance(spacing, str) else (spacing,)
    for value in values:
        if not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
            raise InputError(f"a spacing of {value!r}: expected positive millimetres per pixel")
    return float(values[0]) if len(values) == 1 else tuple(float(value) for value in values)
