"""Question whether the landmarks of a file are imported for the current image or for all images that it has."""

from __future__ import annotations

from qtpy.QtWidgets import QMessageBox, QWidget

from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.gui.session.session import Session


def ask_for_images(
    session: Session, found: dict[str, LandmarkSet], parent: QWidget, *, file: str = "This file"
) -> dict[str, LandmarkSet]:
    """Ask for which images landmarks are imported.

    Parameters
    ----------
    session : Session
        With an image that is shown.
    found : dict of str to LandmarkSet
        Landmarks of a file, by name of an image of the study.
    parent : QWidget
    file : str, optional
        Its name, as a sentence begins with it.

    Returns
    -------
    dict of str to LandmarkSet
        Those that were chosen; none where the user gave up.
    """
    current, count = session.current_image, len(found)
    box = QMessageBox(
        QMessageBox.Icon.Question, "Import landmarks", _question(session, found, file), parent=parent
    )
    accept = QMessageBox.ButtonRole.AcceptRole
    everything = box.addButton(f"All {count} images" if count > 1 else next(iter(found)), accept)
    alone = box.addButton("This image only", accept) if current in found and count > 1 else None
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.exec()
    clicked = box.clickedButton()
    box.deleteLater()
    if clicked is everything:
        return found
    return {current: found[current]} if alone is not None and clicked is alone else {}


def _question(session: Session, found: dict[str, LandmarkSet], file: str) -> str:
    current, count = session.current_image, len(found)
    text = f"{file} has landmarks of {count} {'image' if count == 1 else 'images'} of the study"
    text += "." if current in found else f", and none of {current}, which is shown."
    replaced = sum(_replaces(session.annotation(name), marks) for name, marks in found.items())
    if replaced:
        text += f" In {replaced} of them it replaces landmarks that a person placed."
    if any(mark.status is Status.PREDICTED for marks in found.values() for mark in marks.values()):
        text += " Its predictions count as placed by you."
    return f"{text} Import them? One undo takes all of them back."


def _replaces(annotation: LandmarkSet, marks: LandmarkSet) -> bool:
    """Whether landmarks of a file take the place of other ones that a person placed or called missing."""
    return any(
        annotation[mark.name].status.is_manual and annotation[mark.name].position != mark.position
        for mark in marks.values()
        if mark.name in annotation and mark.status not in (Status.UNPLACED, Status.PREDICTED_MISSING)
    )
