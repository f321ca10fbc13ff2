"""Changing which landmarks a study has without losing what was said about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.schema_migration import change_schema, extended_schema, free_name

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
        name = name or free_name(schema)
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
            change_schema(session.study, schema, renames=renames, geometry=self._geometry)
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
