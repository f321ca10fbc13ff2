"""Showing the predictions that a job saved in the study."""

from __future__ import annotations

from collections.abc import Collection

from napari_landmark.data.study.study import Study
from napari_landmark.gui.session.session import Session


def show_predictions(session: Session, study: Study, images: Collection[str] | None = None) -> None:
    """Show the predictions of the named images, or of all, if the study of the job is still the open one."""
    if _is_open(session, study) and (images is None or images):
        session.set_placing(False)
        session.attempt(lambda: session.load_predictions(images))


def show_new_predictions(session: Session, study: Study) -> None:
    """Show the predictions that a cancelled or failed job saved, if any; clicks place landmarks otherwise."""

    def load() -> None:
        if session.load_new_predictions():
            session.set_placing(False)

    if _is_open(session, study):
        session.attempt(load)


def _is_open(session: Session, study: Study) -> bool:
    return session.study is not None and session.study.folder == study.folder
