"""What a person does to the landmarks of the image at hand: each step is saved at once and can be undone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status, check_axes, check_inside
from napari_landmark.gui.session.undo import Change, UndoStack

if TYPE_CHECKING:
    from napari_landmark.gui.session.session import Session


class AnnotationEditor:
    """Places, moves, clears and accepts landmarks.

    Every change goes through `_say`, which writes the file before anything is shown, so that what is on
    the screen is on the disk.

    Parameters
    ----------
    session : Session
        Whose image is edited.

    Attributes
    ----------
    undo_stack : UndoStack
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.undo_stack = UndoStack()

    def forget(self) -> None:
        """Nothing can be undone any more: another study, or other names."""
        self.undo_stack.clear()

    # -- one landmark ---------------------------------------------------------------------------------

    def place(self, name: str, position: Sequence[float]) -> None:
        """Put a landmark of the image at hand somewhere (index coordinates), and go on to the next one.

        Raises
        ------
        InputError
            Where the position lies outside the image.
        """
        session = self._session
        if not session.geometry().contains([position], margin=0.0)[0]:
            raise InputError(f"{name}: that is outside the image; click on the image")
        was = session.annotation()[name].status
        corrected = was is Status.CORRECTED or (
            was is not Status.PLACED and session.prediction()[name].position is not None
        )
        status = Status.CORRECTED if corrected else Status.PLACED
        self._set_template()
        # Rounded as the files are, so that a reopened study is the same to the last digit.
        mark = Landmark(name, tuple(round(float(value), 6) for value in position), status)
        self._say(session.annotation().with_landmark(mark), f"{'Correct' if corrected else 'Place'} {name}")

    def place_next(self, position: Sequence[float]) -> None:
        """Put the landmark at hand somewhere if it is nowhere yet, else the next one that is nowhere."""
        session = self._session
        if session.schema is None:
            return
        name = session.landmark
        if name not in session.schema or session.result()[name].status is not Status.UNPLACED:
            name = session.next_unplaced(name)
        if not name and session.adding:
            name = session.schema_edits.add()
        if not name:
            raise InputError("every landmark of this image is placed: drag a point to move it")
        self.place(name, position)
        session.choose(session.next_unplaced(name) or name)

    def mark_missing(self, name: str) -> None:
        """Say that a landmark cannot be seen in this image; no model will put it there again."""
        session = self._session
        marks = session.annotation().with_landmark(Landmark(name, status=Status.MISSING))
        self._say(marks, f"Mark {name} as missing")
        session.choose(session.next_unplaced(name))

    def clear(self, name: str) -> None:
        """Take back what was said about a landmark; where a model found it, that is shown again."""
        self._say(self._session.annotation().with_landmark(Landmark(name)), f"Clear {name}")

    def remove(self, name: str) -> None:
        """What deleting a point means: a placed one is open again, a predicted one is missing for good."""
        if self._session.prediction()[name].position is None:
            self.clear(name)
            self._session.choose(name)
        else:
            self.mark_missing(name)

    # -- many landmarks -------------------------------------------------------------------------------

    def accept(self) -> int:
        """Say that all predicted landmarks of the image at hand are right; returns how many.

        A prediction beyond the border goes to the border: what a person said lies on the image.

        Raises
        ------
        InputError
            Where predictions have other axes than the image.
        """
        annotation, geometry = self._session.annotation(), self._session.geometry()
        predicted = [m for m in self._session.result().values() if m.status is Status.PREDICTED]
        check_axes(predicted, geometry, image=self._session.image)
        for mark in predicted:
            position = tuple(
                min(max(value, -0.5), size - 0.5)
                for value, size in zip(mark.position, geometry.shape, strict=True)
            )
            annotation = annotation.with_landmark(Landmark(mark.name, position, Status.PLACED))
        if predicted:
            self._say(annotation, "Accept the image")
        return len(predicted)

    def say_all(self, landmarks: LandmarkSet, label: str) -> None:
        """Take over landmarks from elsewhere, such as a file; what they leave open stays as it is.

        Raises
        ------
        InputError
            Where one of them does not lie on the image at hand; none is taken over then.
        """
        session = self._session
        check_inside(landmarks.values(), session.geometry(), image=session.image)
        annotation = session.annotation()
        for mark in landmarks.values():
            if mark.status is not Status.UNPLACED:
                status = Status.PLACED if mark.status is Status.PREDICTED else mark.status
                annotation = annotation.with_landmark(Landmark(mark.name, mark.position, status))
        self._set_template()
        self._say(annotation, label)
        session.choose_open()

    # -- undo -----------------------------------------------------------------------------------------

    def undo(self) -> None:
        """Take back the last change, in whatever image it was made."""
        if change := self.undo_stack.undo():
            self._apply(change, change.before)

    def redo(self) -> None:
        """Do again what was undone."""
        if change := self.undo_stack.redo():
            self._apply(change, change.after)

    def _say(self, annotation: LandmarkSet, label: str) -> None:
        session = self._session
        before = session.annotation()
        if annotation == before:
            return
        session.known.annotate(session.image, annotation, session.geometry())
        self.undo_stack.push(Change(session.image, before, annotation, label))
        session.landmarks_changed.emit(session.image)

    def _apply(self, change: Change, annotation: LandmarkSet) -> None:
        session, schema = self._session, self._session.schema
        known = LandmarkSet(schema, (mark for mark in annotation.values() if mark.name in schema))
        session.known.annotate(change.image, known, session.geometry(change.image))
        session.landmarks_changed.emit(change.image)
        session.show(change.image)
        if changed := [name for name in change.names if name in schema]:
            session.choose(changed[0])

    def _set_template(self) -> None:
        if not self._session.study.template:
            self._session.known.check_right()
            self._session.study.update(template=self._session.image)
