"""Changing which landmarks a study has without losing what was said about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study import Study


def rename_landmark(study: Study, old: str, new: str, geometry: Callable[[str], Geometry | None]) -> None:
    """Give a landmark another name in the schema and in every file of the study.

    Parameters
    ----------
    study : Study
    old, new : str
        Names; the new one must not be taken (InputError).
    geometry : callable
        Geometry of an image by its name, for the columns in millimetres.
    """
    schema = study.schema
    row = schema.index(old)
    names = (*schema.names[:row], new, *schema.names[row + 1 :])
    renamed = LandmarkSchema(names, schema.colors, schema.definitions)  # raises where the name is taken
    annotations, predictions = study.annotations(), study.predictions()
    # For a while the study knows both names, so that stopping in between loses nothing.
    both = LandmarkSchema(
        (*schema.names, new), (*schema.colors, schema.colors[row]), (*schema.definitions, "")
    )
    study.update(schema=both)
    for name, marks in annotations.items():
        study.save_annotations(name, _renamed(marks, both, old, new), geometry(name))
    for name, marks in predictions.items():
        study.save_predictions(name, _renamed(marks, both, old, new), geometry(name))
    study.update(schema=renamed)


def merged_schema(known: LandmarkSchema, other: LandmarkSchema) -> LandmarkSchema:
    """The known landmarks, and those of the other schema that are new, at the end."""
    added = [row for row, name in enumerate(other.names) if name not in known]
    return LandmarkSchema(
        (*known.names, *(other.names[row] for row in added)),
        definitions=(*known.definitions, *(other.definitions[row] for row in added)),
    )


def _renamed(marks: LandmarkSet, schema: LandmarkSchema, old: str, new: str) -> LandmarkSet:
    moved = (dataclasses.replace(m, name=new) if m.name == old else m for m in marks.values())
    return LandmarkSet(schema, moved)
