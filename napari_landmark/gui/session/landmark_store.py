"""Annotations and predictions of every image of a study, in memory and in its files."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.data.study.lock import ANNOTATING, StudyLock
from napari_landmark.data.study.study import Study
from napari_landmark.gui.wording import word


class LandmarkStore:
    """Annotations and predictions of a study, as they are in its files.

    Parameters
    ----------
    study : Study
    earlier : LandmarkStore, optional
        Store of the study that was open before; where that is the same one, its lock is taken over.
    predictions : mapping of str to LandmarkSet, optional
        Predictions of all images, where they were read already. Annotations are always read here, under the lock.

    Attributes
    ----------
    in_use : str
        Message that another program annotates the study, so that it is read-only; else empty.

    Raises
    ------
    InputError
        A file of the study cannot be read.
    """

    def __init__(
        self,
        study: Study,
        earlier: LandmarkStore | None = None,
        *,
        predictions: Mapping[str, LandmarkSet] | None = None,
    ) -> None:
        self._study = study
        self.in_use = ""
        self._lock: StudyLock | None = None
        if earlier is not None and earlier._study.folder.resolve() == study.folder.resolve():
            self._lock = earlier._lock
        if self._lock is None:
            try:
                self._lock = StudyLock(study.folder, ANNOTATING)
            except InputError as error:
                self.in_use = word(error)
        self._annotations: dict[str, LandmarkSet] = {}
        self._predictions: dict[str, LandmarkSet] = {}
        self._states: dict[str, str] = {}
        self._errors: dict[str, tuple[float, float]] = {}
        self._take(study.annotations(), study.predictions() if predictions is None else predictions)

    def reload(self) -> None:
        """Read all files again."""
        self._take(self._study.annotations(), self._study.predictions())

    def reload_annotations(self) -> None:
        """Read the annotations again, such as after landmarks were added to the schema."""
        self._take(self._study.annotations(), self._predictions)

    def _take(self, annotations: Mapping[str, LandmarkSet], predictions: Mapping[str, LandmarkSet]) -> None:
        self._annotations, self._predictions = dict(annotations), dict(predictions)
        self._states.clear()
        self._errors.clear()

    def annotation(self, image: str) -> LandmarkSet:
        """Annotation of an image; unplaced landmarks where there is none."""
        return self._annotations.get(image) or LandmarkSet(self._study.schema)

    def prediction(self, image: str) -> LandmarkSet:
        """Prediction of an image; unplaced landmarks where there is none."""
        schema, found = self._study.schema, self._predictions.get(image)
        if found is not None and found.schema != schema:  # landmarks were added since it was read
            found = LandmarkSet(schema, (mark for mark in found.values() if mark.name in schema))
            self._predictions[image] = found
        return found or LandmarkSet(schema)

    def result(self, image: str) -> LandmarkSet:
        """Annotation of an image, completed by its prediction."""
        return self.annotation(image).merged_with_prediction(self.prediction(image))

    def state(self, image: str) -> str:
        """State of an image: 'annotated', 'corrected', 'predicted', or '' without any landmark."""
        if image not in self._states:
            # Without merging both: needed for every image of the cohort whenever a study is opened.
            statuses = {mark.status for mark in self._annotations.get(image, {}).values()}
            if Status.CORRECTED in statuses:
                state = "corrected"
            elif Status.PLACED in statuses or Status.MISSING in statuses:
                state = "annotated"
            else:
                names, predicted = self._study.schema.names, self._predictions.get(image, {}).values()
                found = any(mark.position is not None and mark.name in names for mark in predicted)
                state = "predicted" if found else ""
            self._states[image] = state
        return self._states[image]

    def expected_error(self, image: str) -> tuple[float, float]:
        """Mean and largest expected error in native pixels of the predictions that no annotation replaces.

        Minus infinity, twice, where there is none: such images come last in review.
        """
        if image not in self._errors:
            # Without merging both: needed for every image of the cohort whenever a study is opened.
            marks = self._annotations.get(image)
            manual = {name for name, mark in marks.items() if mark.status.is_manual} if marks else set()
            names = set(self._study.schema.names) - manual
            errors = [
                mark.expected_error
                for name, mark in self._predictions.get(image, {}).items()
                if mark.expected_error is not None and mark.position is not None and name in names
            ]
            none = (-math.inf, -math.inf)
            self._errors[image] = (sum(errors) / len(errors), max(errors)) if errors else none
        return self._errors[image]

    def placed_counts(self, images: Collection[str]) -> dict[str, int]:
        """Number of manual positions by image, for those of the named images that have any."""
        counts = {
            image: sum(mark.position is not None for mark in marks.values())
            for image, marks in self._annotations.items()
            if image in images
        }
        return {image: count for image, count in counts.items() if count}

    @property
    def any_annotation(self) -> bool:
        """Whether any image has an annotation."""
        return any(mark.status.is_manual for marks in self._annotations.values() for mark in marks.values())

    @property
    def any_prediction(self) -> bool:
        """Whether any image has a prediction."""
        return bool(self._predictions)

    def annotate(self, image: str, marks: LandmarkSet, geometry: Geometry) -> None:
        """Replace the annotation of an image; its file is written first.

        Raises
        ------
        InputError
            Another program annotates the study, or the file cannot be written.
        """
        self.check_right()
        self._study.save_annotations(image, marks, geometry)
        self._annotations[image] = marks
        self._states.pop(image, None)
        self._errors.pop(image, None)

    def check_right(self) -> None:
        """Raise InputError where another program annotates the study, or did since it was read."""
        if self._lock is not None:
            return
        self._lock = StudyLock(self._study.folder, ANNOTATING)
        self.in_use = ""
        self._study.__dict__.update(Study.open(self._study.folder).__dict__)
        self.reload()
        raise InputError(
            f"{self._study.folder}: was annotated by another program and has been read again: repeat your last step"
        )

    def release(self) -> None:
        """Release the lock, so that other programs can annotate the study."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def load_predictions(self, images: Iterable[str] | None = None) -> bool:
        """Read predictions again, of the named images or of all; returns whether any changed."""
        before = dict(self._predictions)
        if images is None:
            self._predictions = self._study.predictions()
        else:
            self._predictions.update({image: self._study.load_predictions(image) for image in images})
        self._states.clear()
        self._errors.clear()
        return self._predictions != before
