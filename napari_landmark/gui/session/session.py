"""State shared by all widgets of a viewer: study, current image, current landmark, running job.

Free of napari and Qt. Widgets and layers call the methods and listen to the signals.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext

from psygnal import Signal

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.gui.session.crop_reader import CropReader
from napari_landmark.gui.session.crosshair import Crosshair
from napari_landmark.gui.session.image_display import ImageDisplay
from napari_landmark.gui.session.image_order import ImageOrder
from napari_landmark.gui.session.image_prefetcher import ImagePrefetcher
from napari_landmark.gui.session.landmark_store import LandmarkStore
from napari_landmark.gui.session.mark_options import MarkOptions
from napari_landmark.gui.session.model_list import ModelList
from napari_landmark.gui.session.odd_shapes import OddShapes
from napari_landmark.gui.session.prepared_study import PreparedStudy
from napari_landmark.gui.session.running_job import NOT_DURING_A_READING, RunningJob
from napari_landmark.gui.session.saved_predictions import SavedPredictions
from napari_landmark.gui.session.suggested_images import SuggestedImages
from napari_landmark.gui.session.undo import UndoStack
from napari_landmark.gui.wording import word

_NO_STUDY = "No study is open: open one, or make one from a folder of images."


class Session:
    """State of one viewer.

    `AnnotationEditor` changes landmarks of the current image, `SchemaEditor` the landmarks of the study.

    Attributes
    ----------
    study : Study or None
    cohort : Cohort or None
    landmark_store : LandmarkStore or None
        Annotations and predictions of every image.
    undo_stack : UndoStack
        Changes of annotations that can be undone.
    models : ModelList
        Models of the study and trainings that can be resumed; read when a study is opened and a job ended, so
        that widgets need not access the disk.
    pixel_lengths : dict of str to float
        Length of a native pixel of each image, in a unit in which expected errors of different images compare.
    current_image : str
        Name of the image that is shown; empty without a study.
    current_landmark : str
        Name of the landmark that the next click places; empty without a study.
    job : RunningJob or None
        Long work that is running.
    adding : bool
        Whether a click after the last landmark defines a new one.
    placing : bool
        Whether a click on the image places a landmark; see `set_placing`.
    color_by_confidence : bool
        Whether points have the colour of the confidence instead of the colour of their landmark.
    device : str
        Device of the last training; empty before.
    suggestions : SuggestedImages or None
        Images that suit best as template; None until they were compared.
    whole_cohort : Cohort or None
        During a reading all images of the study, of which `cohort` has those of the reading; else None.
    added_images : tuple of str
        Images from elsewhere that were added last, which can be taken out again.
    odd_shapes : OddShapes or None
        Odd shapes of the images; None until they were compared.
    crosshair : Crosshair
        Position in the current volume.
    display : ImageDisplay
        Window and level of the current image.
    waiting : callable
        Makes the context in which an image is read while everything waits; a viewer says there that it works.
    image_order : ImageOrder
        Order of the next and the previous image: that of the list on show.
    marks : MarkOptions
        How landmarks are marked on images.
    crops : CropReader or None
        Reader of crops of the images of the open study.
    in_turns : bool
        Whether a study is being shown for which a viewer may make its layers in several turns of the event loop.
    """

    study_changed = Signal()
    """Another study was opened, or its landmarks, images or spacing changed."""
    image_changed = Signal()
    """Another image is the current one."""
    landmark_changed = Signal()
    """Another landmark is the current one."""
    landmarks_changed = Signal(str)
    """Annotations or predictions of the image of that name changed."""
    landmark_dragged = Signal(str, object)
    """A landmark of the current image is being dragged: its name and index coordinates, which are not saved yet."""
    facts_changed = Signal(str)
    """What the user says of the image of that name changed."""
    predictions_changed = Signal()
    """Predictions of the cohort changed."""
    suggestions_changed = Signal()
    """Images were compared as templates."""
    odd_shapes_changed = Signal()
    """The shapes of the images were compared."""
    models_changed = Signal()
    """Models of the study, or trainings that can be resumed, changed."""
    job_changed = Signal()
    """Long work began or ended."""
    view_changed = Signal()
    """The colours of points, or the effect of a click, changed."""
    message = Signal(str, str)
    """Message for the user: 'info', 'warning' or 'error', and the text."""

    def __init__(self) -> None:
        self.study: Study | None = None
        self.cohort: Cohort | None = None
        self.whole_cohort: Cohort | None = None
        self.landmark_store: LandmarkStore | None = None
        self.undo_stack = UndoStack()
        self.models = ModelList()
        self.pixel_lengths: dict[str, float] = {}
        self.current_image = ""
        self.current_landmark = ""
        self.job: RunningJob | None = None
        self.adding = False
        self.color_by_confidence = False
        self.placing = False
        self.device = ""
        self.suggestions: SuggestedImages | None = None
        self.added_images: tuple[str, ...] = ()
        self.odd_shapes: OddShapes | None = None
        self.landmarks_changed.connect(self._forget_shape)
        self.crosshair = Crosshair()
        self.display = ImageDisplay()
        self.image_order = ImageOrder()
        self.marks = MarkOptions()
        self.crops: CropReader | None = None
        self.in_turns = False
        self.waiting: Callable[[], AbstractContextManager[None]] = nullcontext
        self._prefetcher: ImagePrefetcher | None = None

    # -- study ----------------------------------------------------------------------------------------

    def open(
        self,
        study: Study,
        cohort: Cohort,
        *,
        image: str = "",
        adding: bool = False,
    ) -> None:
        """Read a study and make it the open one, at once; see `show_study` for one that a thread has read.

        Parameters
        ----------
        image : str, optional
            Name of the first image to show; by default the template, else the first of the cohort.
        adding : bool, optional
            Whether a click after the last landmark defines a new one.

        Raises
        ------
        InputError
            The study's files or all of its images cannot be read; nothing changed then.
        """
        prepared = PreparedStudy.read(study, cohort, image=image, earlier=self.landmark_store)
        self.show_study(prepared, adding=adding)

    def show_study(self, prepared: PreparedStudy, *, adding: bool = False, in_turns: bool = False) -> None:
        """Make a study the open one.

        Annotations that were placed in the same study while it was read again are kept.

        Parameters
        ----------
        prepared : PreparedStudy
        adding : bool, optional
            Whether a click after the last landmark defines a new one.
        in_turns : bool, optional
            Whether a viewer may make its layers in several turns of the event loop instead of at once.
        """
        study, store, earlier = prepared.study, prepared.landmark_store, self.landmark_store
        again = earlier is not None and earlier.is_of(study)
        if earlier is not None and again:
            store.keep_annotations(earlier)
        known = self.study is not None and self.study.schema == study.schema
        keeps_undo = again and known and earlier is not None and store.keeps_lock_of(earlier)
        if self._prefetcher is not None:
            self._prefetcher.close()
        if self.study is None or self.study.folder != study.folder:
            self.suggestions = None
            self.added_images = ()
        self.odd_shapes = None
        self.study, self.cohort, self.landmark_store, self.adding = study, prepared.cohort, store, adding
        self.whole_cohort = prepared.whole
        if self.crops is not None:
            self.crops.close()
        self.crops = CropReader(prepared.cohort)
        self._prefetcher = prepared.prefetcher
        if keeps_undo:  # nobody else changed the landmarks: read again for other images or another pixel size
            self.undo_stack.keep_images(frozenset(prepared.cohort.names))
        else:
            self.undo_stack.clear()
        self.models, self.pixel_lengths = prepared.models, prepared.pixel_lengths
        self.current_image = ""
        self.image_order.take_cohort(prepared.cohort.names)
        self.color_by_confidence = store.any_prediction
        self.placing = not store.any_prediction
        self.in_turns = in_turns
        try:
            self.study_changed.emit()
            self.show(prepared.first)
        finally:
            self.in_turns = False
        if prepared.problem:
            self.message.emit("warning", f"{prepared.problem}; {prepared.first} is shown instead")
        if store.in_use:
            self.message.emit("warning", store.in_use)

    def close(self) -> None:
        """Leave long work, stop reading ahead and let other programs annotate the study."""
        if self.job is not None:
            self.job.leave()
        if self._prefetcher is not None:
            self._prefetcher.close()
        if self.crops is not None:
            self.crops.close()
        if self.landmark_store is not None:
            self.landmark_store.release()

    @property
    def schema(self) -> LandmarkSchema | None:
        """Landmarks of the study."""
        return None if self.study is None else self.study.schema

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all images."""
        return () if self.cohort is None else self.cohort.names

    def require_study(self) -> Study:
        """The open study; InputError without one."""
        if self.study is None:
            raise InputError(_NO_STUDY)
        return self.study

    def require_cohort(self) -> Cohort:
        """Images of the open study; InputError without one."""
        if self.cohort is None:
            raise InputError(_NO_STUDY)
        return self.cohort

    def require_store(self) -> LandmarkStore:
        """Landmarks of the open study; InputError without one."""
        if self.landmark_store is None:
            raise InputError(_NO_STUDY)
        return self.landmark_store

    def set_placing(self, on: bool) -> None:
        """Select whether a click on the image places the current landmark."""
        self.placing = on
        self.view_changed.emit()

    # -- current image --------------------------------------------------------------------------------

    def show(self, name: str) -> None:
        """Make an image the current one.

        Raises
        ------
        InputError
            There is no such image or its file cannot be read; the current one stays.
        """
        if self.cohort is None or name == self.current_image:
            return
        # Read before anything names it: a click on the old pixels must not be saved for the new image.
        image = self._read(name)
        self.current_image = name
        cohort = self.require_cohort()
        self.display.show_image(image, cohort.paths[cohort.index(name)])
        self.crosshair.show_image(image.geometry, self._landmark_position())
        self.image_changed.emit()
        self.select_unplaced()

    def step(self, by: int) -> None:
        """Show the image that many places on, or back, in the order of the list on show; stops at the ends.

        Images that cannot be read are passed over, with a warning.

        Raises
        ------
        InputError
            No image is listed, or none from there on can be read; the current one stays.
        """
        if self.cohort is None or not self.current_image:
            return
        if not self.image_order.names:
            raise InputError("no image is listed: choose another filter in the list of images")
        name, problem = self.image_order.beside(self.current_image, by), None
        while True:
            try:
                self.show(name)
            except InputError as error:
                problem = problem or error
                beyond = self.image_order.beside(name, 1 if by > 0 else -1)
                if beyond == name:
                    raise problem from error
                name = beyond
            else:
                break
        if problem is not None:
            self.message.emit("warning", word(problem))

    def read_image(self) -> MedicalImage:
        """Read the current image; InputError where its file cannot be read any more."""
        return self._read(self.current_image)

    def geometry(self, name: str = "") -> Geometry:
        """Geometry of an image, by default of the current one."""
        cohort = self.require_cohort()
        return cohort.geometry(cohort.index(name or self.current_image))

    def annotation(self, name: str = "") -> LandmarkSet:
        """Annotation of an image, by default of the current one."""
        return self.require_store().annotation(name or self.current_image)

    def prediction(self, name: str = "") -> LandmarkSet:
        """Prediction of an image, by default of the current one."""
        return self.require_store().prediction(name or self.current_image)

    def result(self, name: str = "") -> LandmarkSet:
        """Annotation of an image, completed by its prediction; by default of the current one."""
        return self.require_store().result(name or self.current_image)

    def _read(self, name: str) -> MedicalImage:
        cohort, order = self.require_cohort(), self.image_order
        if self._prefetcher is None:
            raise InputError(_NO_STUDY)
        ahead = [cohort.index(near) for by in (1, -1) if (near := order.beside(name, by)) not in ("", name)]
        number = cohort.index(name)
        with nullcontext() if self._prefetcher.has_read(number) else self.waiting():
            return self._prefetcher.read(number, ahead=ahead)

    # -- current landmark -----------------------------------------------------------------------------

    def select_landmark(self, name: str) -> None:
        """Make a landmark the current one; InputError where the study has none of that name."""
        if self.schema is not None and name and name != self.current_landmark:
            self.schema.index(name)
            self.current_landmark = name
            self.landmark_changed.emit()
            self.go_to_landmark()

    def go_to_landmark(self) -> None:
        """Centre the views of a volume on the current landmark, where it has a position."""
        position = self._landmark_position()
        if position is not None:
            self.crosshair.move_to(position, centre=True)

    def _landmark_position(self) -> tuple[float, ...] | None:
        """Position of the current landmark in the current volume; None without one, and in a picture."""
        mark = self.result().get(self.current_landmark) if self.current_image else None
        position = None if mark is None else mark.position
        return position if position is not None and len(position) == self.geometry().ndim == 3 else None

    def next_unplaced(self, after: str = "") -> str:
        """Name of the next unplaced landmark in schema order, from the start again after the last; empty without."""
        if self.schema is None:
            return ""
        result, names = self.result(), self.schema.names
        start = names.index(after) + 1 if after in names else 0
        order = (*names[start:], *names[:start])
        return next((name for name in order if result[name].status is Status.UNPLACED), "")

    def skip(self, by: int = 1) -> None:
        """Select the next unplaced landmark; the neighbour where all are placed, or `by` is negative."""
        if self.schema is None:
            return
        names = self.schema.names
        if by > 0 and (name := self.next_unplaced(self.current_landmark)):
            self.select_landmark(name)
        else:
            row = names.index(self.current_landmark) if self.current_landmark in names else -by
            self.select_landmark(names[(row + by) % len(names)])

    def select_unplaced(self) -> None:
        """Select the first unplaced landmark; in an image with a prediction the current one stays."""
        if self.schema is None:
            return
        if self.current_landmark in self.schema and self.prediction().ndim is not None:
            return  # the same landmark is reviewed from image to image
        name = self.next_unplaced() or self.current_landmark
        self.select_landmark(name if name in self.schema else self.schema.names[0])

    # -- results of long work -------------------------------------------------------------------------

    def load_predictions(self, images: Collection[str] | None = None) -> None:
        """Read and show the predictions in the study's files, of the named images or of all, at once."""
        self.show_predictions(SavedPredictions.read(self.require_study(), images))

    def show_predictions(self, saved: SavedPredictions, *, only_new: bool = False) -> bool:
        """Show predictions that were read from the study's files.

        Parameters
        ----------
        saved : SavedPredictions
        only_new : bool, optional
            Whether nothing happens where they are those that are shown already.

        Returns
        -------
        bool
            Whether they are shown now and were not before; always true unless `only_new`.
        """
        store = self.require_store()
        if only_new and store.has_shown(saved):
            return False
        self.odd_shapes = None
        store.show_predictions(saved)
        self.predictions_changed.emit()
        if self.color_by_confidence != store.any_prediction:
            self.color_by_confidence = store.any_prediction
            self.view_changed.emit()
        self.landmarks_changed.emit(self.current_image)
        return True

    def refresh_models(self) -> None:
        """Read the models of the study from its folder."""
        models = ModelList() if self.study is None else ModelList.read(self.study)
        if models != self.models:
            self.models = models
            self.models_changed.emit()

    def set_suggestions(self, suggestions: SuggestedImages) -> None:
        """Keep a ranking of the images while the study is open."""
        self.suggestions = suggestions
        self.suggestions_changed.emit()

    def set_odd_shapes(self, found: OddShapes) -> None:
        """Keep a comparison of the shapes until landmarks are read again."""
        self.odd_shapes = found
        self.odd_shapes_changed.emit()

    def _forget_shape(self, image: str) -> None:
        if self.odd_shapes is not None:
            self.odd_shapes.forget(image)

    # -- long work ------------------------------------------------------------------------------------

    def run(self, job: RunningJob) -> None:
        """Start long work; InputError while other work is running, or during a reading for work that would end it."""
        if self.job is not None:
            raise InputError(f"{self.job.title} is still running: cancel it or wait for its end")
        if self.study is not None and self.study.reader and job.kind in NOT_DURING_A_READING:
            raise InputError(
                f"the reading of {self.study.reader} goes on: finish or interrupt it in the step Place first"
            )
        self.job = job
        job.ended.connect(self._on_job_ended)
        self.job_changed.emit()
        job.start()

    def attempt(self, action: Callable[[], object]) -> None:
        """Call `action`; its InputError becomes an error message for the user."""
        try:
            action()
        except InputError as error:
            self.message.emit("error", word(error))

    def _on_job_ended(self) -> None:
        self.job = None
        self.refresh_models()
        self.job_changed.emit()
