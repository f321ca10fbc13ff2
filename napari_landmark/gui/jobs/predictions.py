"""Predictions that a job saves in the study: read in its thread, shown in the main one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.gui.jobs.job import Work
from napari_landmark.gui.session.saved_predictions import SavedPredictions
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.wording import word
from napari_landmark.progress import CancelToken, Progress


class JobPredictions:
    """Predictions in the files of the study that is open when a job begins.

    Parameters
    ----------
    session : Session
    images : collection of str, optional
        Names of the images that the job predicts; by default all.
    """

    def __init__(self, session: Session, images: Collection[str] | None = None) -> None:
        self._session, self._study, self._images = session, session.require_study(), images
        self._saved: SavedPredictions | None = None
        self._problem = ""

    def read_after(self, work: Work) -> Work:
        """Work that also reads the predictions in its thread when it ends, however it ends."""

        def whole(progress: Progress, cancel: CancelToken) -> Any:
            try:
                return work(progress, cancel)
            finally:
                self.read()

        return whole

    def read(self) -> None:
        """Read the predictions, in a thread; a fault is told when they are to be shown."""
        try:
            self._saved = SavedPredictions.read(self._study, self._images)
        except InputError as error:  # shown later: the work's own error comes first
            self._problem = word(error)

    def show(self) -> None:
        """Show the predictions, if the study of the job is still the open one."""
        self._show(only_new=False)

    def show_new(self) -> None:
        """Show the predictions where a cancelled or failed job saved any; clicks place landmarks otherwise."""
        self._show(only_new=True)

    def _show(self, *, only_new: bool) -> None:
        session, saved, self._saved = self._session, self._saved, None
        if session.study is None or session.study.folder != self._study.folder:
            return
        if self._problem:
            session.message.emit("error", self._problem)
        elif saved is not None:
            placing = session.placing
            session.placing = False
            if not session.show_predictions(saved, only_new=only_new):
                session.placing = placing


def not_found_statement(not_found: Mapping[str, str]) -> str:
    """One line on the images that no landmark was found in, by name with the reason."""
    first = next(iter(not_found))
    others = "" if len(not_found) == 1 else f" (and {len(not_found) - 1} more)"
    return f"Nothing was found in {first}{others}: {not_found[first]}."
