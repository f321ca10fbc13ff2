"""Changing the schema of the open study; annotations and predictions follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.schema_migration import change_schema, extended_schema, free_name
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
        name = name or free_name(schema)
        # A click does this: the predictions of 10,000 images, which have no such landmark, are not read again.
        self._change(extended_schema(schema, [name]), {}, keep_predictions=True)
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
        self._change(schema, renames or {}, keep_predictions=False)

    def _change(self, schema: LandmarkSchema, renames: Mapping[str, str], *, keep_predictions: bool) -> None:
        session = self._session
        study, store = session.require_study(), session.require_store()
        if session.job is not None:
            raise InputError(f"{session.job.title} is running: cancel it or wait, then change the landmarks")
        store.check_right()
        try:
            change_schema(study, schema, renames=renames, geometry=self._geometry)
        finally:
            # Also where a file could not be written halfway.
            if keep_predictions:
                store.reload_annotations()
            else:
                store.reload()
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
