"""Changes of the landmarks of a study that keep its annotations and predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, default_colors
from napari_landmark.data.study.study import Study


def change_schema(
    study: Study,
    schema: LandmarkSchema,
    *,
    renames: Mapping[str, str] | None = None,
    geometry: Callable[[str], Geometry | None] = lambda image: None,
) -> None:
    """Add, remove, reorder and rename the landmarks of a study; renaming includes annotations and predictions.

    Annotations of a removed landmark stay in the files until those are saved again.

    Parameters
    ----------
    study : Study
        Changed in place and on disk.
    schema : LandmarkSchema
        The new landmarks in their new order. A landmark of the study that is in it neither by its own nor by a
        new name is removed.
    renames : mapping of str to str, optional
        Old names to new ones, all at once: two landmarks can exchange their names.
    geometry : callable, optional
        Geometry of an image by its name, for the columns in millimetres; None where it is unknown.

    Raises
    ------
    InputError
        A renamed landmark is unknown, a new name is not in `schema`, or the study's files cannot be read;
        nothing changed then.
    """
    renames = {old: new for old, new in (renames or {}).items() if old != new}
    for old, new in renames.items():
        study.schema.index(old)
        schema.index(new)
    if len(set(renames.values())) < len(renames):
        raise InputError("two landmarks cannot get the same name: rename one of them")
    if renames:
        annotations, predictions = study.annotations(), study.predictions()
        left = set(study.schema.names) - set(renames)
        gone = left - (set(schema.names) - set(renames.values()))
        for names in _passes(study.schema, renames):
            # The study has both names while files are rewritten, so that stopping in between loses nothing.
            both = _with_both(study.schema, names, gone)
            study.update(schema=both)
            annotations = {image: _renamed(marks, both, names, gone) for image, marks in annotations.items()}
            predictions = {image: _renamed(marks, both, names, gone) for image, marks in predictions.items()}
            for image, marks in annotations.items():
                study.save_annotations(image, marks, geometry(image))
            for image, marks in predictions.items():
                study.save_predictions(image, marks, geometry(image))
            gone = set(names)
    study.update(schema=schema, renamed=renames)


def merged_schema(known: LandmarkSchema, other: LandmarkSchema) -> LandmarkSchema:
    """The known landmarks, followed by those of the other schema that are new."""
    added = [row for row, name in enumerate(other.names) if name not in known]
    return extended_schema(
        known,
        [other.names[row] for row in added],
        colors=[other.colors[row] for row in added],
        definitions=[other.definitions[row] for row in added],
    )


def extended_schema(
    known: LandmarkSchema,
    names: Sequence[str],
    *,
    colors: Sequence[str] = (),
    definitions: Sequence[str] = (),
) -> LandmarkSchema:
    """The known landmarks, followed by new ones, each in a colour that is not taken.

    Parameters
    ----------
    known : LandmarkSchema
    names : sequence of str
        Names of the new landmarks.
    colors, definitions : sequence of str, optional
        One for each new name. A colour that is taken is replaced.
    """
    used = list(known.colors)
    for wanted in colors or [""] * len(names):
        free = (color for color in default_colors(len(used) + 1) if color not in used)
        used.append(wanted if wanted and wanted not in used else next(free))
    return LandmarkSchema(
        (*known.names, *names), tuple(used), (*known.definitions, *(definitions or [""] * len(names)))
    )


def free_name(schema: LandmarkSchema) -> str:
    """A name for one more landmark, 'landmark N', that is not taken."""
    number = len(schema) + 1
    while f"landmark {number}" in schema:
        number += 1
    return f"landmark {number}"


def _passes(schema: LandmarkSchema, renames: dict[str, str]) -> list[dict[str, str]]:
    """The renaming in steps, in none of which a new name is the old name of another landmark."""
    if not set(renames) & set(renames.values()):
        return [renames]
    taken, between = {*schema.names, *renames.values()}, {}
    for old, new in renames.items():
        name = f"{new} (was {old})"
        while name in taken:
            name += "'"
        taken.add(name)
        between[old] = name
    return [between, {between[old]: new for old, new in renames.items()}]


def _with_both(schema: LandmarkSchema, names: Mapping[str, str], gone: Collection[str]) -> LandmarkSchema:
    rows = [(row, name) for row, name in enumerate(schema.names) if name not in gone]
    rows += [(schema.index(old), new) for old, new in names.items()]
    return LandmarkSchema(
        tuple(name for _, name in rows),
        tuple(schema.colors[row] for row, _ in rows),
        tuple(schema.definitions[row] for row, _ in rows),
    )


def _renamed(
    marks: LandmarkSet, schema: LandmarkSchema, names: Mapping[str, str], gone: Collection[str]
) -> LandmarkSet:
    kept = (mark for mark in marks.values() if mark.name not in gone)
    return LandmarkSet(
        schema, (dataclasses.replace(mark, name=names.get(mark.name, mark.name)) for mark in kept)
    )
