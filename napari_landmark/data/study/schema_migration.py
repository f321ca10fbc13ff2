"""Changes of the landmarks of a study that keep its annotations and predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from napari_landmark.data.curves import Curve, curves_among
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import merged_curves
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, default_colors
from napari_landmark.data.links import Link, segments
from napari_landmark.data.study.study import Study
from napari_landmark.progress import CancelToken, Progress


def change_schema(
    study: Study,
    schema: LandmarkSchema,
    *,
    renames: Mapping[str, str] | None = None,
    geometry: Callable[[str], Geometry | None] = lambda image: None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> None:
    """Add, remove, reorder and rename the landmarks of a study; renaming includes annotations and predictions.

    Renaming writes every file, and all of them change together: a renaming that is cancelled, fails or ends with its
    program leaves the study as it was, or renamed whole. Annotations of a removed landmark stay in the files until
    those are saved again.

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
    progress : Progress, optional
    cancel : CancelToken, optional
        Stops a renaming.

    Raises
    ------
    Cancelled
        `cancel` was set; nothing changed.
    InputError
        A renamed landmark is unknown, a new name is not in `schema`, or the study's files cannot be read or written;
        nothing changed then.
    """
    renames = {old: new for old, new in (renames or {}).items() if old != new}
    for old, new in renames.items():
        study.schema.index(old)
        schema.index(new)
    if len(set(renames.values())) < len(renames):
        raise InputError("two landmarks cannot get the same name: rename one of them")
    if renames:
        study.replace_landmarks(
            schema,
            renames,
            lambda marks: _renamed(marks, schema, renames),
            geometry=geometry,
            progress=progress,
            cancel=cancel,
        )
    else:
        study.update(schema=schema)


def merged_schema(known: LandmarkSchema, other: LandmarkSchema) -> LandmarkSchema:
    """The known landmarks, followed by those of the other schema that are new; the same with links and curves."""
    added = [row for row, name in enumerate(other.names) if name not in known]
    merged = extended_schema(
        known,
        [other.names[row] for row in added],
        colors=[other.colors[row] for row in added],
        definitions=[other.definitions[row] for row in added],
    )
    return dataclasses.replace(
        merged, links=_merged_links(known, other), curves=merged_curves([known, other], merged.names)
    )


def _merged_links(known: LandmarkSchema, other: LandmarkSchema) -> tuple[Link, ...]:
    """The known links, followed by those of the other schema that draw a line that is not there yet."""
    drawn = {frozenset(pair) for pair in segments(known.links)}
    new = [link for link in other.links if not drawn.issuperset(map(frozenset, link.segments))]
    return (*known.links, *new)


def renamed_schema(known: LandmarkSchema, old: str, new: str) -> LandmarkSchema:
    """The same landmarks, links and curves with another name of one; InputError where it is unknown or taken."""
    row = known.index(old)
    names = (*known.names[:row], new, *known.names[row + 1 :])
    links = known.links_among(names, renamed={old: new})
    curves = curves_among((curve.renamed({old: new}) for curve in known.curves), names)
    return dataclasses.replace(known, names=names, links=links, curves=curves)


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
        (*known.names, *names),
        tuple(used),
        (*known.definitions, *(definitions or [""] * len(names))),
        known.links,
        known.curves,
    )


def with_curve(known: LandmarkSchema, curve: Curve) -> LandmarkSchema:
    """The known landmarks, followed by the semilandmarks of a new curve.

    Raises
    ------
    InputError
        A landmark at its ends is unknown, or its name or that of a semilandmark is taken.
    """
    known.index(curve.start)
    known.index(curve.end)
    for name in curve.semilandmarks:
        if name in known:
            raise InputError(f"landmark {name!r} is there already: choose another name for the curve")
    extended = extended_schema(
        known,
        curve.semilandmarks,
        definitions=[
            f"Semilandmark {number} of {curve.count} on the curve from {curve.start} to {curve.end}."
            for number in range(1, curve.count + 1)
        ],
    )
    return dataclasses.replace(extended, curves=(*known.curves, curve))


def free_name(schema: LandmarkSchema) -> str:
    """A name for one more landmark, 'landmark N', that is not taken."""
    number = len(schema) + 1
    while f"landmark {number}" in schema:
        number += 1
    return f"landmark {number}"


def _renamed(marks: LandmarkSet, schema: LandmarkSchema, renames: Mapping[str, str]) -> LandmarkSet:
    """Landmarks with their new names; one that left the schema stays unless its name is taken now."""
    taken = set(renames.values())
    renamed = {
        renames.get(name, name): mark for name, mark in marks.items() if name in renames or name not in taken
    }
    left = [name for name, mark in renamed.items() if name not in schema and mark.status.is_manual]
    kept = (
        dataclasses.replace(mark, name=name)
        for name, mark in renamed.items()
        if name in schema or name in left
    )
    return LandmarkSet(extended_schema(schema, left) if left else schema, kept, image_state=marks.image_state)
