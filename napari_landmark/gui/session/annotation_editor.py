"""Editing the annotation of the current image: each change is saved at once and can be undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from numpy.typing import ArrayLike

from napari_landmark.data.curves import Curve, resample_curve
from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status, check_axes, check_inside
from napari_landmark.data.study.image_facts import ImageDecision, ImageFacts
from napari_landmark.gui.session.schema_editor import SchemaEditor
from napari_landmark.gui.session.session import Session
from napari_landmark.gui.session.undo import Change


class AnnotationEditor:
    """Place, move, clear and accept landmarks of the current image.

    Every change is written to the study's files before it is shown. Holds no state of its own: several
    editors of one session share its undo stack.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    # -- one landmark ---------------------------------------------------------------------------------

    def place(self, name: str, position: Sequence[float], *, image: str = "", verb: str = "") -> None:
        """Set the position of a landmark.

        Parameters
        ----------
        name : str
        position : sequence of float
            Index coordinates, in the order of the image's axes.
        image : str, optional
            Name of the image; the current one by default.
        verb : str, optional
            Begin of the change's label; changes of one landmark with one verb, one after another, are undone as one.

        Raises
        ------
        InputError
            Where the position is outside the image.
        """
        session = self._session
        if not session.geometry(image).contains([position], margin=0.0)[0]:
            raise InputError(f"{name}: that is outside the image; click on the image")
        before = session.annotation(image)[name]
        corrected = before.status is Status.CORRECTED or (
            before.status is not Status.PLACED and session.prediction(image)[name].position is not None
        )
        status = Status.CORRECTED if corrected else Status.PLACED
        self._set_template()
        # Rounded as the files are, so that a reopened study is the same to the last digit.
        rounded = tuple(round(float(value), 6) for value in position)
        mark = Landmark(name, rounded, status, covered=before.covered)
        label = f"{verb or ('Correct' if corrected else 'Place')} {name}"
        self._annotate(session.annotation(image).with_landmark(mark), label, image=image, merged=bool(verb))

    def nudge(self, name: str, offset: Sequence[float]) -> None:
        """Move a landmark by pixels along the axes of the image; raises as `place`, or where it has no position."""
        position = self._session.result()[name].position
        if position is None:
            raise InputError(f"{name}: has no position: place it first")
        self.place(name, [a + b for a, b in zip(position, offset, strict=True)], verb="Nudge")

    def place_next(self, position: Sequence[float]) -> None:
        """Place the current landmark if it is unplaced, else the next unplaced one, and select the one after it.

        Raises
        ------
        InputError
            Where all landmarks are placed and none can be added, or the position is outside the image.
        """
        session = self._session
        if session.schema is None:
            return
        name = session.current_landmark
        free = (Status.UNPLACED, Status.PREDICTED_MISSING)
        if name not in session.schema or session.result()[name].status not in free:
            name = session.next_unplaced(name)
        if not name and session.adding:
            name = SchemaEditor(session).add()
        if not name:
            raise InputError("every landmark of this image is placed: drag a point to move it")
        self.place(name, position)
        session.select_landmark(session.next_unplaced(name) or name)

    def mark_missing(self, name: str) -> None:
        """Mark a landmark as not visible in this image, which hides its prediction, and select the next one."""
        session = self._session
        marks = session.annotation().with_landmark(Landmark(name, status=Status.MISSING))
        self._annotate(marks, f"Mark {name} as missing")
        session.select_landmark(session.next_unplaced(name))

    def set_covered(self, name: str, covered: bool) -> None:
        """Say whether a placed landmark is seen or covered; a prediction becomes a placed landmark by it.

        Raises
        ------
        InputError
            The landmark has no position.
        """
        session = self._session
        mark = session.result()[name]
        if mark.position is None:
            raise InputError(f"{name}: has no position: place it first, or mark it as missing")
        status = mark.status if mark.status.is_manual else Status.PLACED
        marks = session.annotation().with_landmark(Landmark(name, mark.position, status, covered=covered))
        self._annotate(marks, f"Mark {name} as {'covered' if covered else 'seen'}")

    def toggle_covered(self, name: str) -> None:
        """Change whether a landmark is seen or covered; see `set_covered`."""
        self.set_covered(name, not self._session.annotation()[name].covered)

    def clear(self, name: str) -> None:
        """Remove the annotation of a landmark; its prediction, if any, is shown again."""
        self._annotate(self._session.annotation().with_landmark(Landmark(name)), f"Clear {name}")

    def remove(self, name: str) -> None:
        """Delete the point of a landmark: with a prediction it becomes missing, else unplaced."""
        if self._session.prediction()[name].position is None:
            self.clear(name)
            self._session.select_landmark(name)
        else:
            self.mark_missing(name)

    def place_curve(self, curve: Curve, path: ArrayLike) -> None:
        """Place the semilandmarks of a curve evenly along a drawn line, as one change.

        Parameters
        ----------
        curve : Curve
            Of the study's landmarks.
        path : (m, d) array_like
            Drawn points, index coordinates.

        Raises
        ------
        InputError
            A landmark at its ends has no position, a point is outside the image, or the line has no length; nothing
            changed then.
        """
        session = self._session
        result, geometry = session.result(), session.geometry()
        ends = []
        for name in (curve.start, curve.end):
            position = result[name].position
            if position is None:
                raise InputError(f"{curve.name}: place {name} first, at an end of the curve")
            ends.append(position)
        placed = resample_curve(path, start=ends[0], end=ends[1], count=curve.count, spacing=geometry.spacing)
        if not geometry.contains(placed, margin=0.0).all():
            raise InputError(f"{curve.name}: the line leaves the image; draw it on the image")
        annotation = session.annotation()
        for name, row in zip(curve.semilandmarks, placed.tolist(), strict=True):
            corrected = (
                annotation[name].status is Status.CORRECTED or session.prediction()[name].position is not None
            )
            status = Status.CORRECTED if corrected else Status.PLACED
            annotation = annotation.with_landmark(
                Landmark(name, tuple(round(value, 6) for value in row), status)
            )
        self._set_template()
        self._annotate(annotation, f"Draw {curve.name}")

    def accept_landmark(self, name: str, *, image: str = "") -> None:
        """Accept the prediction of one landmark as annotation; nothing happens where a person decided already.

        Raises
        ------
        InputError
            It has no position, or one outside the image.
        """
        session = self._session
        mark = session.result(image)[name]
        if mark.status.is_manual:
            return
        if mark.position is None:
            raise InputError(f"{name}: has no position: place it first, or mark it as missing")
        check_inside((mark,), session.geometry(image), image=image or session.current_image)
        placed = Landmark(name, mark.position, Status.PLACED)
        self._annotate(session.annotation(image).with_landmark(placed), f"Accept {name}", image=image)

    # -- whole image ----------------------------------------------------------------------------------

    def decide(self, decision: ImageDecision | None) -> None:
        """Keep what the user says of the current image as a whole; None takes it back."""
        session = self._session
        session.require_store().decide(session.current_image, decision)
        session.landmarks_changed.emit(session.current_image)

    def set_facts(self, facts: ImageFacts) -> None:
        """Keep the facts of the current image, such as a remark."""
        session = self._session
        session.require_store().set_facts(session.current_image, facts)
        session.facts_changed.emit(session.current_image)
        session.landmarks_changed.emit(session.current_image)

    def fill_laterality(self, mirrored: Mapping[str, bool]) -> list[str]:
        """Write the side of each image that has none, told by that of the current image.

        Returns the images whose facts state the other side; raises as `Study.fill_laterality`.
        """
        session = self._session
        contrary = session.require_store().fill_laterality(mirrored, image=session.current_image)
        session.facts_changed.emit(session.current_image)
        return contrary

    # -- many landmarks -------------------------------------------------------------------------------

    def accept(self) -> int:
        """Accept all predictions of the current image as annotation.

        Predictions outside the image are moved to its border.

        Returns
        -------
        int
            Number of accepted landmarks.

        Raises
        ------
        InputError
            Where predictions have another number of coordinates than the image has axes.
        """
        annotation, geometry = self._session.annotation(), self._session.geometry()
        predicted = [m for m in self._session.result().values() if m.status is Status.PREDICTED]
        check_axes(predicted, geometry, image=self._session.current_image)
        accepted = 0
        for mark in predicted:
            if mark.position is None:
                continue
            position = tuple(
                min(max(value, -0.5), size - 0.5)
                for value, size in zip(mark.position, geometry.shape, strict=True)
            )
            annotation = annotation.with_landmark(Landmark(mark.name, position, Status.PLACED))
            accepted += 1
        if accepted:
            self._annotate(annotation, "Accept the image")
        return accepted

    def import_landmarks(self, landmarks: LandmarkSet, label: str) -> None:
        """Add landmarks from elsewhere, such as a file, to the annotation; unplaced ones change nothing.

        Parameters
        ----------
        landmarks : LandmarkSet
            In index coordinates of the current image.
        label : str
            Name of the change in the undo stack.

        Raises
        ------
        InputError
            Where one of them is outside the current image; none is added then.
        """
        session = self._session
        check_inside(landmarks.values(), session.geometry(), image=session.current_image)
        annotation = session.annotation()
        for mark in landmarks.values():
            if mark.status not in (Status.UNPLACED, Status.PREDICTED_MISSING):
                status = Status.PLACED if mark.status is Status.PREDICTED else mark.status
                new = Landmark(mark.name, mark.position, status, covered=mark.covered)
                annotation = annotation.with_landmark(new)
        self._set_template()
        self._annotate(annotation, label)
        session.select_unplaced()

    # -- undo -----------------------------------------------------------------------------------------

    def undo(self) -> None:
        """Undo the last change and show its image.

        Raises
        ------
        InputError
            The annotation cannot be saved, and the change can be undone again; or its image cannot be read.
        """
        self._show(
            self._session.undo_stack.undo(
                lambda change: self._save_all({part.image: part.before for part in change.parts})
            )
        )

    def redo(self) -> None:
        """Redo the change that was undone last and show its image; raises as `undo`."""
        self._show(
            self._session.undo_stack.redo(
                lambda change: self._save_all({part.image: part.after for part in change.parts})
            )
        )

    def _annotate(
        self, annotation: LandmarkSet, label: str, *, image: str = "", merged: bool = False
    ) -> None:
        session = self._session
        image = image or session.current_image
        before = session.annotation(image)
        if annotation == before:
            return
        session.require_store().annotate(image, annotation, session.geometry(image))
        session.undo_stack.push(Change(image, before, annotation, label), merged=merged)
        session.landmarks_changed.emit(image)

    def _save_all(self, annotations: dict[str, LandmarkSet]) -> None:
        for image, annotation in annotations.items():
            self._save(image, annotation)

    def _save(self, image: str, annotation: LandmarkSet) -> None:
        session, schema = self._session, self._session.require_study().schema
        known = LandmarkSet(schema, (mark for mark in annotation.values() if mark.name in schema))
        session.require_store().annotate(image, known, session.geometry(image))

    def _show(self, change: Change | None) -> None:
        """Show the image of a change that was undone or redone, and select its landmark."""
        if change is None:
            return
        session = self._session
        if change.more:
            session.predictions_changed.emit()  # of many images: all lists are made anew
        session.landmarks_changed.emit(change.image)
        session.show(change.image)
        if changed := [name for name in change.names if name in session.require_study().schema]:
            session.select_landmark(changed[0])

    def _set_template(self) -> None:
        session, study = self._session, self._session.require_study()
        if not study.template and not study.reader:
            session.require_store().check_right()
            study.update(template=session.current_image)
