"""What the widgets of one viewer share: the study, the image and the landmark at hand, and what was said of them.

Nothing here knows napari or Qt. Widgets call the methods and listen to the signals; layers do the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_landmark.data.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image import MedicalImage
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study import Study
from napari_landmark.gui.images import ImageReader
from napari_landmark.gui.schema_edit import change_schema, extended_schema
from napari_landmark.gui.undo import Change, UndoStack

if TYPE_CHECKING:
    from napari_landmark.gui.jobs import Job


class Session:
    """One study being worked on.

    Every change of an annotation goes through `_say`, which writes the file before anything is shown, so
    that what is on the screen is on the disk.

    Attributes
    ----------
    study : Study or None
    cohort : Cohort or None
    image : str
        Name of the image at hand; empty without a study.
    landmark : str
        Name of the landmark that the next click places; empty where none is left.
    job : Job or None
        Long work that is running.
    adding : bool
        Whether a click beyond the last landmark defines a new one.
    placing : bool
        Whether a click on the image places a landmark; see `set_placing`.
    color_by_confidence : bool
        How points are coloured: by the model's confidence, or each landmark in its own colour.
    device : str
        Where the last training ran; empty before.
    """

    study_changed = Signal()
    """Another study, or its landmarks, images or spacing."""
    image_changed = Signal()
    landmark_changed = Signal()
    landmarks_changed = Signal(str)
    """What is known about the landmarks of the image of that name changed."""
    predictions_changed = Signal()
    """Models found landmarks anew in the cohort."""
    job_changed = Signal()
    """Long work began or ended."""
    view_changed = Signal()
    """How points are coloured, or whether a click places, changed."""
    message = Signal(str, str)
    """Something to tell the person: 'info', 'warning' or 'error', and the text."""

    def __init__(self) -> None:
        self.study: Study | None = None
        self.cohort: Cohort | None = None
        self.image = ""
        self.landmark = ""
        self.job: Job | None = None
        self.adding = False
        self.color_by_confidence = False
        self.placing = False
        self.device = ""
        self.undo_stack = UndoStack()
        self._reader: ImageReader | None = None
        self._annotations: dict[str, LandmarkSet] = {}
        self._predictions: dict[str, LandmarkSet] = {}
        self._states: dict[str, str] = {}

    # -- the study ------------------------------------------------------------------------------------

    def open(self, study: Study, cohort: Cohort, *, image: str = "", adding: bool = False) -> None:
        """Work on a study from now on.

        Parameters
        ----------
        image : str, optional
            The image to begin with; by default the template, or the first one.
        adding : bool, optional
            Whether clicking beyond the last landmark defines new ones.

        Raises
        ------
        InputError
            The study or none of its images can be read; nothing changed then.
        """
        annotations, predictions = study.annotations(), study.predictions()
        reader = ImageReader(cohort)
        wanted = [name for name in (image, study.template) if name in cohort.names]
        first, problem = _readable(reader, cohort, dict.fromkeys([*wanted, *cohort.names]))
        if self._reader is not None:
            self._reader.close()
        self.study, self.cohort, self.adding = study, cohort, adding
        self._reader = reader
        self._annotations, self._predictions = annotations, predictions
        self._states.clear()
        self.undo_stack.clear()
        self.image = ""
        self.color_by_confidence = bool(predictions)
        self.placing = not predictions
        self.study_changed.emit()
        self.show(first)
        if problem:
            self.message.emit("warning", f"{problem}; {first} is shown instead")

    def close(self) -> None:
        """Stop long work and reading ahead; called when the viewer goes."""
        if self.job is not None:
            self.job.cancel()
        if self._reader is not None:
            self._reader.close()

    @property
    def schema(self) -> LandmarkSchema | None:
        """The landmarks of the study."""
        return None if self.study is None else self.study.schema

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all images."""
        return () if self.cohort is None else self.cohort.names

    def geometry(self, name: str = "") -> Geometry:
        """Geometry of an image, by default of the one at hand."""
        assert self.cohort is not None
        return self.cohort.geometry(self.cohort.index(name or self.image))

    def set_placing(self, on: bool) -> None:
        """Whether a click on the image places the landmark at hand."""
        self.placing = on
        self.view_changed.emit()

    # -- the image at hand ----------------------------------------------------------------------------

    def show(self, name: str) -> None:
        """Go to an image.

        Raises
        ------
        InputError
            There is no such image or its file cannot be read; the one at hand stays.
        """
        if self.cohort is None or name == self.image:
            return
        assert self._reader is not None
        # Read before anything names it: what is clicked on the old pixels must not go to the new image.
        self._reader.read(self.cohort.index(name))
        self.image = name
        self.image_changed.emit()
        self._choose_next()

    def step(self, by: int) -> None:
        """Go so many images on, or back; stops at the ends."""
        if self.cohort is not None and self.image:
            number = self.cohort.index(self.image) + by
            self.show(self.names[min(max(number, 0), len(self.names) - 1)])

    def read_image(self) -> MedicalImage:
        """Pixels of the image at hand; InputError where the file cannot be read any more."""
        assert self.cohort is not None and self._reader is not None
        return self._reader.read(self.cohort.index(self.image))

    def annotation(self, name: str = "") -> LandmarkSet:
        """What persons said about an image, by default the one at hand."""
        return self._of(self._annotations, name)

    def prediction(self, name: str = "") -> LandmarkSet:
        """What models said about an image, by default the one at hand."""
        return self._of(self._predictions, name)

    def result(self, name: str = "") -> LandmarkSet:
        """What persons said, and the prediction wherever they said nothing."""
        return self.annotation(name).merged_with_prediction(self.prediction(name))

    def state(self, name: str) -> str:
        """'annotated', 'corrected', 'predicted' or '' for an image nobody looked at."""
        if name not in self._states:
            statuses = {mark.status for mark in self.result(name).values()}
            if Status.CORRECTED in statuses:
                state = "corrected"
            elif Status.PLACED in statuses or Status.MISSING in statuses:
                state = "annotated"
            else:
                state = "predicted" if Status.PREDICTED in statuses else ""
            self._states[name] = state  # asked for every image whenever one is shown
        return self._states[name]

    def placed_counts(self) -> dict[str, int]:
        """How many landmarks persons placed or corrected, for the images that have any."""
        counts = {
            name: sum(mark.position is not None for mark in marks.values())
            for name, marks in self._annotations.items()
            if name in self.names
        }
        return {name: count for name, count in counts.items() if count}

    def _of(self, sets: Mapping[str, LandmarkSet], name: str) -> LandmarkSet:
        assert self.study is not None
        return sets.get(name or self.image) or LandmarkSet(self.study.schema)

    # -- the landmark at hand -------------------------------------------------------------------------

    def choose(self, name: str) -> None:
        """Make a landmark the one that is placed next and shown in detail."""
        if self.schema is not None and name and name != self.landmark:
            self.schema.index(name)
            self.landmark = name
            self.landmark_changed.emit()

    def next_unplaced(self, after: str = "") -> str:
        """The next landmark nobody placed, in schema order and around the end; empty where none is left."""
        if self.schema is None:
            return ""
        names = self.schema.names
        start = names.index(after) + 1 if after in names else 0
        result = self.result()
        open_names = [n for n in (*names[start:], *names[:start]) if result[n].status is Status.UNPLACED]
        return open_names[0] if open_names else ""

    def skip(self, by: int = 1) -> None:
        """Choose the next landmark that is not placed, or any neighbour where all are."""
        if self.schema is None:
            return
        names = self.schema.names
        if by > 0 and (name := self.next_unplaced(self.landmark)):
            self.choose(name)
        else:
            here = names.index(self.landmark) if self.landmark in names else -by
            self.choose(names[(here + by) % len(names)])

    def _choose_next(self) -> None:
        if self.schema is None:
            return
        if self.landmark in self.schema and self.prediction().ndim is not None:
            return  # in review the same landmark is looked at from image to image
        name = self.next_unplaced() or self.landmark
        if name not in self.schema:
            name = self.schema.names[0]
        if name != self.landmark:
            self.choose(name)

    # -- what a person says ---------------------------------------------------------------------------

    def place(self, name: str, position: Sequence[float]) -> None:
        """Put a landmark of the image at hand somewhere (index coordinates), and go on to the next one.

        Raises
        ------
        InputError
            Where the position lies outside the image.
        """
        if not self.geometry().contains([position], margin=0.0)[0]:
            raise InputError(f"{name}: that is outside the image; click on the image")
        was = self.annotation()[name].status
        corrected = was is Status.CORRECTED or (
            was is not Status.PLACED and self.prediction()[name].position is not None
        )
        status = Status.CORRECTED if corrected else Status.PLACED
        self._set_template()
        self._say(
            # Rounded as the files are, so that a reopened study is the same to the last digit.
            self.annotation().with_landmark(
                Landmark(name, tuple(round(float(v), 6) for v in position), status)
            ),
            f"{'Correct' if corrected else 'Place'} {name}",
        )

    def place_next(self, position: Sequence[float]) -> None:
        """Put the landmark at hand somewhere if it is nowhere yet, else the next one that is nowhere."""
        if self.schema is None:
            return
        name = self.landmark
        if name not in self.schema or self.result()[name].status is not Status.UNPLACED:
            name = self.next_unplaced(name)
        if not name and self.adding:
            name = self._new_name()
            self.add_landmark(name)
        if not name:
            raise InputError("every landmark of this image is placed: drag a point to move it")
        self.place(name, position)
        if following := self.next_unplaced(name):
            self.choose(following)
        else:
            self.choose(name)

    def mark_missing(self, name: str) -> None:
        """Say that a landmark cannot be seen in this image; no model will put it there again."""
        self._say(
            self.annotation().with_landmark(Landmark(name, status=Status.MISSING)), f"Mark {name} as missing"
        )
        if following := self.next_unplaced(name):
            self.choose(following)

    def clear(self, name: str) -> None:
        """Take back what was said about a landmark; where a model found it, that is shown again."""
        self._say(self.annotation().with_landmark(Landmark(name)), f"Clear {name}")

    def remove(self, name: str) -> None:
        """What deleting a point means: a placed one is open again, a predicted one is missing for good."""
        if self.prediction()[name].position is None:
            self.clear(name)
            self.choose(name)
        else:
            self.mark_missing(name)

    def accept(self) -> int:
        """Say that all predicted landmarks of the image at hand are right; returns how many.

        A prediction beyond the border goes to the border: what a person said lies on the image.

        Raises
        ------
        InputError
            Where predictions have other axes than the image.
        """
        annotation, geometry = self.annotation(), self.geometry()
        predicted = [m for m in self.result().values() if m.status is Status.PREDICTED]
        for mark in predicted:
            if len(mark.position) != geometry.ndim:
                raise InputError(_other_axes(mark, geometry))
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
        self.check_positions(landmarks.values())
        annotation = self.annotation()
        for mark in landmarks.values():
            if mark.status is not Status.UNPLACED:
                status = Status.PLACED if mark.status is Status.PREDICTED else mark.status
                annotation = annotation.with_landmark(Landmark(mark.name, mark.position, status))
        self._set_template()
        self._say(annotation, label)
        self._choose_next()

    def check_positions(self, marks: Iterable[Landmark]) -> None:
        """Whether landmarks lie on the image at hand; InputError with the name of the first that does not."""
        geometry = self.geometry()
        for mark in marks:
            if mark.position is None:
                continue
            if len(mark.position) != geometry.ndim:
                raise InputError(_other_axes(mark, geometry))
            if not geometry.contains([mark.position])[0]:
                place = ", ".join(f"{value:g}" for value in reversed(mark.position))
                size = " x ".join(str(count) for count in reversed(geometry.shape))
                raise InputError(
                    f"{mark.name}: ({place}) lies outside of {self.image}, which has {size} pixels: "
                    "does the file belong to this image?"
                )

    def undo(self) -> None:
        """Take back the last change, in whatever image it was made."""
        if change := self.undo_stack.undo():
            self._apply(change, change.before)

    def redo(self) -> None:
        """Do again what was undone."""
        if change := self.undo_stack.redo():
            self._apply(change, change.after)

    def _say(self, annotation: LandmarkSet, label: str) -> None:
        before = self.annotation()
        if annotation == before:
            return
        self._save(self.image, annotation)
        self.undo_stack.push(Change(self.image, before, annotation, label))
        self.landmarks_changed.emit(self.image)

    def _apply(self, change: Change, annotation: LandmarkSet) -> None:
        assert self.study is not None
        image = change.image
        known = LandmarkSet(
            self.study.schema, (m for m in annotation.values() if m.name in self.study.schema)
        )
        self._save(image, known)
        self.landmarks_changed.emit(image)
        self.show(image)
        if changed := [name for name in change.names if name in self.study.schema]:
            self.choose(changed[0])

    def _save(self, image: str, annotation: LandmarkSet) -> None:
        assert self.study is not None
        self.study.save_annotations(image, annotation, self.geometry(image))
        self._annotations[image] = annotation
        self._states.pop(image, None)

    def annotations_exist(self) -> bool:
        """Whether a person said anything about any image."""
        return any(mark.status.by_person for marks in self._annotations.values() for mark in marks.values())

    def _set_template(self) -> None:
        assert self.study is not None
        if not self.study.template:
            self.study.update(template=self.image)

    # -- which landmarks there are --------------------------------------------------------------------

    def add_landmark(self, name: str) -> None:
        """Define one more landmark."""
        assert self.study is not None
        self.set_schema(extended_schema(self.study.schema, [name]))
        self.choose(name)

    def rename(self, old: str, new: str) -> None:
        """Give a landmark another name, in every annotation and prediction, too."""
        if self.study is None or old == new:
            return
        schema = self.study.schema
        row = schema.index(old)
        names = (*schema.names[:row], new, *schema.names[row + 1 :])
        self.set_schema(dataclasses.replace(schema, names=names), renames={old: new})

    def set_schema(self, schema: LandmarkSchema, *, renames: Mapping[str, str] | None = None) -> None:
        """Other landmarks; annotations of those that are gone stay in the files until saved again.

        Parameters
        ----------
        schema : LandmarkSchema
        renames : mapping of str to str, optional
            Old names to new ones; what was said about them stays theirs in every annotation and prediction.
        """
        assert self.study is not None
        self._not_while_working()
        renames = renames or {}
        try:
            change_schema(self.study, schema, renames, self.geometry_or_none)
        finally:
            self._reload()  # also where a file could not be written halfway
        if renames:
            self.undo_stack.clear()  # what could be undone speaks of the old names
        self.landmark = renames.get(self.landmark, self.landmark)
        if self.landmark not in schema:
            self.landmark = self.next_unplaced() or schema.names[0]
        self.study_changed.emit()
        self.landmark_changed.emit()

    def geometry_or_none(self, name: str) -> Geometry | None:
        """Geometry of an image, None where it is not in the folder any more."""
        return self.geometry(name) if name in self.names else None

    def _new_name(self) -> str:
        assert self.schema is not None
        number = len(self.schema) + 1
        while f"landmark {number}" in self.schema:
            number += 1
        return f"landmark {number}"

    def _not_while_working(self) -> None:
        if self.job is not None:
            raise InputError(f"{self.job.title} is running: cancel it or wait, then change the landmarks")

    def _reload(self) -> None:
        assert self.study is not None
        self._annotations, self._predictions = self.study.annotations(), self.study.predictions()
        self._states.clear()

    # -- what models say ------------------------------------------------------------------------------

    def take_predictions(self, found: Mapping[str, LandmarkSet] | None = None) -> None:
        """Show new predictions: those given, which are in the study's files already, or all of the files."""
        assert self.study is not None
        if found is None:
            self._predictions = self.study.predictions()
        else:
            # Read back: what is on the screen is what is on the disk.
            self._predictions.update({name: self.study.load_predictions(name) for name in found})
        self._states.clear()
        self.color_by_confidence = bool(self._predictions)
        self.predictions_changed.emit()
        self.view_changed.emit()
        self.landmarks_changed.emit(self.image)

    def take_new_predictions(self) -> bool:
        """Show what work that did not come to its end left in the study's files; whether that was anything."""
        assert self.study is not None
        if self.study.predictions() == self._predictions:
            return False
        self.take_predictions()
        return True

    # -- long work ------------------------------------------------------------------------------------

    def run(self, job: Job) -> None:
        """Start long work; InputError while other work is running."""
        if self.job is not None:
            raise InputError(f"{self.job.title} is still running: cancel it or wait for its end")
        self.job = job
        job.ended.connect(self._on_job_ended)
        self.job_changed.emit()
        job.start()

    def attempt(self, action: Callable[[], object]) -> None:
        """Do what a person asked for; where it cannot be done, say why."""
        try:
            action()
        except InputError as error:
            self.message.emit("error", str(error))

    def _on_job_ended(self) -> None:
        self.job = None
        self.job_changed.emit()


def _other_axes(mark: Landmark, geometry: Geometry) -> str:
    count = len(mark.position or ())
    return f"{mark.name}: has {count} coordinates, and the image has {geometry.ndim} axes"


def _readable(reader: ImageReader, cohort: Cohort, names: Iterable[str]) -> tuple[str, str]:
    """The first image that can be read, and why an earlier one cannot; InputError where none can."""
    problem = ""
    for name in names:
        try:
            reader.read(cohort.index(name))
        except InputError as error:
            problem = problem or str(error)
        else:
            return name, problem
    reader.close()
    raise InputError(problem)
