"""Changing the schema of the open study; annotations and predictions follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, default_colors
from napari_landmark.data.study.study import Study
from napari_landmark.gui.session.session import Session


class SchemaEditor:
    """Add, rename, reorder and remove landmarks of the open study.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, name: str = "") -> str:
        """Define one more landmark, select it, and return its name; 'landmark N' by default."""
        schema = self._session.require_study().schema
        name = name or _free_name(schema)
        self.set_schema(extended_schema(schema, [name]))
        self._session.select_landmark(name)
        return name

    def rename(self, old: str, new: str) -> None:
        """Rename a landmark in the schema and in every annotation and prediction."""
        schema = self._session.schema
        if schema is None or old == new:
            return
        row = schema.index(old)
        names = (*schema.names[:row], new, *schema.names[row + 1 :])
        self.set_schema(dataclasses.replace(schema, names=names), renames={old: new})

    def set_schema(self, schema: LandmarkSchema, *, renames: Mapping[str, str] | None = None) -> None:
        """Replace the schema; annotations of removed landmarks stay in the files until those are saved again.

        Parameters
        ----------
        schema : LandmarkSchema
        renames : mapping of str to str, optional
            Old names to new ones; annotations and predictions of renamed landmarks are kept.

        Raises
        ------
        InputError
            Long work is running, or the change cannot be made.
        """
        session = self._session
        study, store = session.require_study(), session.require_store()
        if session.job is not None:
            raise InputError(f"{session.job.title} is running: cancel it or wait, then change the landmarks")
        store.check_right()
        renames = renames or {}
        try:
            change_schema(study, schema, renames, self._geometry)
        finally:
            store.reload()  # also where a file could not be written halfway
        if renames:
            session.undo_stack.clear()  # its changes have the old names
        session.current_landmark = renames.get(session.current_landmark, session.current_landmark)
        if session.current_landmark not in schema:
            session.current_landmark = session.next_unplaced() or schema.names[0]
        session.study_changed.emit()
        session.landmark_changed.emit()

    def _geometry(self, image: str) -> Geometry | None:
        """Geometry of an image; None where its file is no longer in the folder."""
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
