"""What the widgets of one viewer share: the study, the image and the landmark at hand, and what runs.

Nothing here knows napari or Qt. Widgets call the methods and listen to the signals; layers do the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.image_prefetcher import ImagePrefetcher
from napari_landmark.gui.session.landmark_store import LandmarkStore
from napari_landmark.gui.session.schema_editor import SchemaEditor
from napari_landmark.gui.wording import word

if TYPE_CHECKING:
    from napari_landmark.gui.jobs.job import Job
    from napari_landmark.gui.widgets.suggest import Suggested


class Session:
    """One study being worked on.

    Attributes
    ----------
    study : Study or None
    cohort : Cohort or None
    known : LandmarkStore or None
        What persons and models said about every image.
    edits : AnnotationEditor
        What a person does to the landmarks of the image at hand, with undo.
    schema_edits : SchemaEditor
        Changing which landmarks there are.
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
    suggestions : Suggested or None
        Which images of the study are best annotated; None until somebody asked.
    """

    study_changed = Signal()
    """Another study, or its landmarks, images or spacing."""
    image_changed = Signal()
    landmark_changed = Signal()
    landmarks_changed = Signal(str)
    """What is known about the landmarks of the image of that name changed."""
    predictions_changed = Signal()
    """Models found landmarks anew in the cohort."""
    suggestions_changed = Signal()
    """It was found out which images are best annotated."""
    job_changed = Signal()
    """Long work began or ended."""
    view_changed = Signal()
    """How points are coloured, or whether a click places, changed."""
    message = Signal(str, str)
    """Something to tell the person: 'info', 'warning' or 'error', and the text."""

    def __init__(self) -> None:
        self.study: Study | None = None
        self.cohort: Cohort | None = None
        self.known: LandmarkStore | None = None
        self.edits = AnnotationEditor(self)
        self.schema_edits = SchemaEditor(self)
        self.image = ""
        self.landmark = ""
        self.job: Job | None = None
        self.adding = False
        self.color_by_confidence = False
        self.placing = False
        self.device = ""
        self.suggestions: Suggested | None = None
        self._reader: ImagePrefetcher | None = None

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
        known = LandmarkStore(study, self.known)
        reader = ImagePrefetcher(cohort)
        wanted = [name for name in (image, study.template) if name in cohort.names]
        first, problem = reader.first_readable([*wanted, *cohort.names])
        if self._reader is not None:
            self._reader.close()
        if self.study is None or self.study.folder != study.folder:
            self.suggestions = None
        self.study, self.cohort, self.known, self.adding = study, cohort, known, adding
        self._reader = reader
        self.edits.forget()
        self.image = ""
        self.color_by_confidence = known.any_prediction
        self.placing = not known.any_prediction
        self.study_changed.emit()
        self.show(first)
        if problem:
            self.message.emit("warning", f"{problem}; {first} is shown instead")
        if known.in_use:
            self.message.emit("warning", known.in_use)

    def close(self) -> None:
        """Stop long work and reading ahead; called when the viewer goes."""
        if self.job is not None:
            self.job.cancel()
        if self._reader is not None:
            self._reader.close()
        if self.known is not None:
            self.known.release()

    @property
    def schema(self) -> LandmarkSchema | None:
        """The landmarks of the study."""
        return None if self.study is None else self.study.schema

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all images."""
        return () if self.cohort is None else self.cohort.names

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
        self.choose_open()

    def step(self, by: int) -> None:
        """Go so many images on, or back; stops at the ends."""
        if self.cohort is not None and self.image:
            number = self.cohort.index(self.image) + by
            self.show(self.names[min(max(number, 0), len(self.names) - 1)])

    def read_image(self) -> MedicalImage:
        """Pixels of the image at hand; InputError where the file cannot be read any more."""
        assert self.cohort is not None and self._reader is not None
        return self._reader.read(self.cohort.index(self.image))

    def geometry(self, name: str = "") -> Geometry:
        """Geometry of an image, by default of the one at hand."""
        assert self.cohort is not None
        return self.cohort.geometry(self.cohort.index(name or self.image))

    def annotation(self, name: str = "") -> LandmarkSet:
        """What persons said about an image, by default the one at hand."""
        assert self.known is not None
        return self.known.annotation(name or self.image)

    def prediction(self, name: str = "") -> LandmarkSet:
        """What models said about an image, by default the one at hand."""
        assert self.known is not None
        return self.known.prediction(name or self.image)

    def result(self, name: str = "") -> LandmarkSet:
        """What persons said, and the prediction wherever they said nothing."""
        assert self.known is not None
        return self.known.result(name or self.image)

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
        result, names = self.result(), self.schema.names
        start = names.index(after) + 1 if after in names else 0
        order = (*names[start:], *names[:start])
        return next((name for name in order if result[name].status is Status.UNPLACED), "")

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

    def choose_open(self) -> None:
        """Choose the first landmark that is not placed; in review the one at hand stays."""
        if self.schema is None:
            return
        if self.landmark in self.schema and self.prediction().ndim is not None:
            return  # the same landmark is looked at from image to image
        name = self.next_unplaced() or self.landmark
        self.choose(name if name in self.schema else self.schema.names[0])

    # -- what models say ------------------------------------------------------------------------------

    def take_predictions(self, found: Mapping[str, LandmarkSet] | None = None) -> None:
        """Show new predictions: those given, which are in the study's files already, or all of the files."""
        assert self.known is not None
        self.known.take_predictions(found)
        self._show_predictions()

    def take_new_predictions(self) -> bool:
        """Show what work that did not come to its end left in the study's files; whether that was anything."""
        assert self.known is not None
        new = self.known.take_predictions()
        if new:
            self._show_predictions()
        return new

    def _show_predictions(self) -> None:
        self.color_by_confidence = self.known.any_prediction
        self.predictions_changed.emit()
        self.view_changed.emit()
        self.landmarks_changed.emit(self.image)

    def take_suggestions(self, found: Suggested) -> None:
        """Keep which images are best annotated while the study is open."""
        self.suggestions = found
        self.suggestions_changed.emit()

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
            self.message.emit("error", word(error))

    def _on_job_ended(self) -> None:
        self.job = None
        self.job_changed.emit()
