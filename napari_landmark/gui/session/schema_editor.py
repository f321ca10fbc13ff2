"""Changing the schema of the open study; annotations and predictions follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.links import Link
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.data.study.schema_migration import (
    change_schema,
    extended_schema,
    free_name,
    renamed_schema,
)
from napari_landmark.data.study.study import Study
from napari_landmark.gui.session.landmark_store import LandmarkStore
from napari_landmark.gui.session.session import Session
from napari_landmark.progress import CancelToken, Progress


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
        name = name or free_name(schema)
        self.set_schema(extended_schema(schema, [name]))
        self._session.select_landmark(name)
        return name

    def undefine(self, name: str) -> None:
        """Take out the last landmark of the study where nothing uses it; nothing happens where something does."""
        session = self._session
        study = session.require_study()
        schema, names = study.schema, study.schema.names[:-1]
        linked = any(name in link.landmarks for link in schema.links)
        if not names or schema.names[-1] != name or linked:
            return
        try:
            study.measurements.check_landmarks(names)
        except InputError:
            return
        if session.job is None and not session.require_store().is_used(name):
            self.set_schema(
                dataclasses.replace(
                    schema, names=names, colors=schema.colors[:-1], definitions=schema.definitions[:-1]
                )
            )

    def rename(self, old: str, new: str) -> None:
        """Rename a landmark in the schema and in every annotation and prediction."""
        schema = self._session.schema
        if schema is not None and old != new:
            self.set_schema(renamed_schema(schema, old, new), renames={old: new})

    def set_schema(self, schema: LandmarkSchema, *, renames: Mapping[str, str] | None = None) -> None:
        """Replace the schema at once; annotations of removed landmarks stay in the files until those are saved again.

        Renaming writes and reads all files: with thousands of images a thread does, see `write`.

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
        self.check()
        self.show(self.write(schema, renames or {}), renames or {})

    def set_measurements(
        self, measurements: MeasurementSchema, *, links: tuple[Link, ...] | None = None
    ) -> None:
        """Replace what is measured, and the links where they are given.

        Raises
        ------
        InputError
            Long work is running, or another program annotates the study.
        """
        self.check()
        study = self._session.require_study()
        schema = study.schema if links is None else dataclasses.replace(study.schema, links=links)
        study.update(measurements=measurements, schema=schema)
        self._session.study_changed.emit()

    def check(self) -> None:
        """Raise InputError where the landmarks cannot be changed now: long work is running, or the study is in use."""
        session = self._session
        store, study = session.require_store(), session.require_study()
        if study.reader:
            raise InputError(
                f"the reading of {study.reader} goes on: finish or interrupt it, then change the landmarks"
            )
        if session.job is not None:
            raise InputError(f"{session.job.title} is running: cancel it or wait, then change the landmarks")
        store.check_right()

    def write(
        self,
        schema: LandmarkSchema,
        renames: Mapping[str, str],
        *,
        progress: Progress | None = None,
        cancel: CancelToken | None = None,
    ) -> LandmarkStore | None:
        """Change the files of the study; `show` then makes the change known.

        May run in a thread while the store is paused.

        Returns
        -------
        LandmarkStore or None
            Landmarks of all images with their new names; None where no landmark was renamed.

        Raises
        ------
        Cancelled
            `cancel` was set; nothing changed.
        InputError
            The change cannot be made; nothing changed.
        """
        store = self._session.require_store()
        # Another object than the session's, whose landmarks must be those of its store at any time.
        study = Study.open(self._session.require_study().folder)
        change_schema(
            study, schema, renames=renames, geometry=self._geometry, progress=progress, cancel=cancel
        )
        return LandmarkStore(study, store) if renames else None

    def show(self, written: LandmarkStore | None, renames: Mapping[str, str]) -> None:
        """Make a change known that `write` made; called by the main thread."""
        session = self._session
        study = session.require_study()
        study.read_again()
        if written is not None:
            session.require_store().take_over(written)
            session.undo_stack.clear()  # its changes have the old names
        session.odd_shapes = None
        session.current_landmark = renames.get(session.current_landmark, session.current_landmark)
        if session.current_landmark not in study.schema:
            session.current_landmark = session.next_unplaced() or study.schema.names[0]
        session.study_changed.emit()
        session.landmark_changed.emit()

    def _geometry(self, image: str) -> Geometry | None:
        """Geometry of an image; None where its file is no longer in the folder."""
        cohort = self._session.require_cohort()
        return cohort.geometry(cohort.index(image)) if image in cohort else None
