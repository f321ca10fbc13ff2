"""Changing which landmarks a study has without losing what was said about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, default_colors
from napari_landmark.data.study.study import Study

if TYPE_CHECKING:
    from napari_landmark.gui.session.session import Session


class SchemaEditor:
    """Changes which landmarks the open study has.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, name: str = "") -> str:
        """Define one more landmark, make it the one at hand, and return its name."""
        schema = self._session.schema
        assert schema is not None
        name = name or _free_name(schema)
        self.set(extended_schema(schema, [name]))
        self._session.choose(name)
        return name

    def rename(self, old: str, new: str) -> None:
        """Give a landmark another name, in every annotation and prediction, too."""
        schema = self._session.schema
        if schema is None or old == new:
            return
        row = schema.index(old)
        names = (*schema.names[:row], new, *schema.names[row + 1 :])
        self.set(dataclasses.replace(schema, names=names), renames={old: new})

    def set(self, schema: LandmarkSchema, *, renames: Mapping[str, str] | None = None) -> None:
        """Other landmarks; annotations of those that are gone stay in the files until saved again.

        Parameters
        ----------
        schema : LandmarkSchema
        renames : mapping of str to str, optional
            Old names to new ones; what was said about them stays theirs in every annotation and prediction.

        Raises
        ------
        InputError
            Long work is running, or the change cannot be made.
        """
        session = self._session
        assert session.study is not None and session.known is not None
        if session.job is not None:
            raise InputError(f"{session.job.title} is running: cancel it or wait, then change the landmarks")
        session.known.check_right()
        renames = renames or {}
        try:
            change_schema(session.study, schema, renames, self._geometry)
        finally:
            session.known.reload()  # also where a file could not be written halfway
        if renames:
            session.edits.forget()  # what could be undone speaks of the old names
        session.landmark = renames.get(session.landmark, session.landmark)
        if session.landmark not in schema:
            session.landmark = session.next_unplaced() or schema.names[0]
        session.study_changed.emit()
        session.landmark_changed.emit()

    def _geometry(self, image: str) -> Geometry | None:
        """Of an image; None where it is not in the folder any more."""
        return self._session.geometry(image) if image in self._session.names else None


def change_schema(
    study: Study,
    schema: LandmarkSchema,
    renames: Mapping[str, str],
    geometry: Callable[[str], Geometry | None],
) -> None:
    """Give a study other landmarks, and those that are renamed their new names in every file.

    Parameters
    ----------
    study : Study
    schema : LandmarkSchema
        The landmarks as they shall be; those that are in it neither by their own nor by a new name go.
    renames : mapping of str to str
        Old names to new ones, all at once: two landmarks can change their names with each other.
    geometry : callable
        Geometry of an image by its name, for the columns in millimetres.

    Raises
    ------
    InputError
        A renamed landmark is unknown, a new name is not in `schema`, or the study's files cannot be read;
        nothing changed then.
    """
    renames = {old: new for old, new in renames.items() if old != new}
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
            # For a while the study knows both names, so that stopping in between loses nothing.
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
    """The known landmarks, and those of the other schema that are new, at the end."""
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
    """The known landmarks as they are, and more of them at the end, each in a colour that is not taken."""
    used = list(known.colors)
    for wanted in colors or [""] * len(names):
        free = (color for color in default_colors(len(used) + 1) if color not in used)
        used.append(wanted if wanted and wanted not in used else next(free))
    return LandmarkSchema(
        (*known.names, *names), tuple(used), (*known.definitions, *(definitions or [""] * len(names)))
    )


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


def _free_name(schema: LandmarkSchema) -> str:
    number = len(schema) + 1
    while f"landmark {number}" in schema:
        number += 1
    return f"landmark {number}"
