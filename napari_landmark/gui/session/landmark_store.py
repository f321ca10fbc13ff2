"""Annotations and predictions of every image of a study, in memory and in its files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_landmark.calibration.corrections import Corrections
from napari_landmark.data.error_covariance import isotropic
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.file_replacement import discard_unfinished
from napari_landmark.data.study.image_facts import ImageDecision, ImageFacts
from napari_landmark.data.study.lock import ANNOTATING, StudyInUseError, StudyLock
from napari_landmark.data.study.study import Study
from napari_landmark.gui.session.landmark_arrays import LandmarkArrays, LandmarkColumns
from napari_landmark.gui.session.saved_predictions import SavedPredictions
from napari_landmark.gui.wording import word

_NO_FACTS = ImageFacts()
_NO_ERROR = (-math.inf, -math.inf)
_STATES = ("", "predicted", "annotated", "corrected")


class LandmarkStore:
    """Annotations and predictions of a study, as they are in its files.

    Making one reads all files, which takes seconds with 10,000 images: make it in a thread.

    Parameters
    ----------
    study : Study
    earlier : LandmarkStore, optional
        Store of the study that was open before; where that is the same one, its lock is taken over.

    Attributes
    ----------
    in_use : str
        Message that another program annotates the study, so that it is read-only; else empty.
    paused : str
        Message why nothing may be annotated now, such as while all files are renamed; else empty.

    Raises
    ------
    InputError
        A file of the study cannot be read.
    """

    def __init__(self, study: Study, earlier: LandmarkStore | None = None) -> None:
        self._study = study
        self.in_use, self.paused = "", ""
        self._lock: StudyLock | None = None
        if earlier is not None and earlier._study.folder.resolve() == study.folder.resolve():
            self._lock = earlier._lock
        if self._lock is None:
            try:
                self._acquire()
            except InputError as error:
                self.in_use = self._read_only(error)
        self._states: dict[str, str] = {}
        self._errors: dict[str, tuple[float, float]] = {}
        self._reviewed: dict[str, bool] = {}
        self._reviewed_counted: tuple[Collection[str], int] | None = None
        self._summarized: LandmarkSchema | None = None
        self._revision = 0
        self._annotations, self._predictions = LandmarkArrays(), LandmarkArrays()
        self._facts: dict[str, ImageFacts] = {}
        self._counted: tuple[Collection[str], Counter[str]] | None = None
        self._merged: tuple[LandmarkSet, LandmarkSet, LandmarkSet] | None = None  # those of the last result
        self.reload()

    def is_of(self, study: Study) -> bool:
        """Whether the landmarks are those of a study and reader, of whatever object that describes it."""
        same = self._study.folder.resolve() == study.folder.resolve()
        return same and self._study.reader == study.reader

    def reload(self) -> None:
        """Read all files again."""
        self._annotations = LandmarkArrays.gather(self._study.recorded_annotations())
        self._predictions = LandmarkArrays.gather(self._study.recorded_predictions())
        self._facts = self._study.facts()
        self._summarized = None
        self._summarize_all()

    def take_over(self, newer: LandmarkStore) -> None:
        """Take over what a store of the same study read from its files, such as in a thread; that one is used up."""
        self._annotations, self._predictions = newer._annotations, newer._predictions
        self._facts = newer._facts
        self._states, self._errors, self._summarized = newer._states, newer._errors, newer._summarized
        self._counted = self._reviewed_counted = None
        self._reviewed, self._revision = newer._reviewed, self._revision + 1

    def keeps_lock_of(self, earlier: LandmarkStore) -> bool:
        """Whether the lock of an earlier store was held all the time, so that nobody else changed the annotations."""
        return self._lock is not None and self._lock is earlier._lock

    def keep_annotations(self, earlier: LandmarkStore) -> None:
        """Keep the annotations of the earlier store of the same study, to which a person may have added since.

        Nothing happens where that one had no lock: then another program may have added to the files.
        """
        if self.keeps_lock_of(earlier):
            self._study.read_again()
            if not self._annotations.same(earlier._annotations):
                self._summarized = None
            self._annotations, self._facts = earlier._annotations, earlier._facts

    def annotation(self, image: str) -> LandmarkSet:
        """Annotation of an image; unplaced landmarks where there is none."""
        return self._annotations.get(image, self._study.schema)

    def prediction(self, image: str) -> LandmarkSet:
        """Prediction of an image; unplaced landmarks where there is none."""
        return self._predictions.get(image, self._study.schema)

    def further_subjects(self, image: str) -> tuple[LandmarkSet, ...]:
        """Predictions of the second subject of an image and on, as they are in the files; mostly none.

        Raises
        ------
        InputError
            A file cannot be read.
        """
        if self.image_state(image) is not ImageState.SEVERAL:
            return ()
        return self._study.load_further_subjects(image)

    def result(self, image: str) -> LandmarkSet:
        """Annotation of an image, completed by its prediction."""
        annotation, prediction = self.annotation(image), self.prediction(image)
        if self._merged is None or self._merged[0] is not annotation or self._merged[1] is not prediction:
            self._merged = annotation, prediction, annotation.merged_with_prediction(prediction)
        return self._merged[2]

    def results(self) -> Callable[[str], LandmarkSet]:
        """Results of all images as they are now, by name of the image; for a thread."""
        annotations, predictions, schema = (
            self._annotations.copy(),
            self._predictions.copy(),
            self._study.schema,
        )
        return lambda image: annotations.get(image, schema).merged_with_prediction(
            predictions.get(image, schema)
        )

    def result_arrays(
        self, images: Sequence[str]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Annotations of n images completed by their predictions, as arrays in the order of the m landmarks.

        Returns
        -------
        positions : (n, m, 3) array
            Index coordinates in array axis order, of pictures with NaN in front; NaN without a position.
        expected_errors : (n, m) array
            In native pixels, NaN where unknown.
        is_manual : (n, m) array of bool
        """
        annotated = self._annotations.columns(images, self._study.schema)
        predicted = self._predictions.columns(images, self._study.schema)
        manual = annotated.is_manual
        positions = self._result_positions(images, manual)
        return positions, np.where(manual, annotated.expected_errors, predicted.expected_errors), manual

    def result_columns(self, images: Collection[str]) -> LandmarkColumns:
        """Annotations of n images completed by their predictions: status, presence and expected errors as arrays."""
        annotated = self._annotations.columns(images, self._study.schema)
        predicted = self._predictions.columns(images, self._study.schema)
        return annotated.completed_by(predicted)

    def correction_arrays(
        self, images: Sequence[str], ndim: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Predictions (n, m, ndim) and annotations of n images, NaN without one, and the expected errors (n, m).

        Index coordinates in array axis order, errors of the predictions in native pixels. Images that the user left
        out have neither.
        """
        schema = self._study.schema
        manual = self._annotations.columns(images, schema).is_manual
        placed = self._annotations.positions(images, schema)
        marked = np.where(manual[..., None], placed, np.nan)[..., 3 - ndim :]
        found = self._predictions.positions(images, schema)[..., 3 - ndim :]
        errors = self._predictions.columns(images, schema).expected_errors
        left_out = np.array([self.decision(image) is ImageDecision.LEFT_OUT for image in images], bool)
        marked[left_out], found[left_out], errors[left_out] = np.nan, np.nan, np.nan
        return found, marked, errors

    def covariances(self, images: Sequence[str], ndim: int) -> NDArray[np.float64]:
        """(n, m, ndim, ndim) covariances of the errors of predictions in squared native pixels, NaN where unknown.

        Landmarks that a person decided on have none.
        """
        manual = self._annotations.columns(images, self._study.schema).is_manual
        own = self._predictions.covariances(images, self._study.schema)[..., 3 - ndim :, 3 - ndim :]
        return np.where(manual[..., None, None], np.nan, own)

    @property
    def predicted_images(self) -> Collection[str]:
        """Names of the images with a prediction."""
        return self._predictions.images

    def annotated_among(self, images: Collection[str]) -> list[str]:
        """Those of the images that have an annotation and a prediction, in their order."""
        annotated, predicted = self._annotations.images, self._predictions.images
        return [image for image in images if image in annotated and image in predicted]

    def corrections(self, images: Sequence[str], ndim: int) -> Corrections:
        """Manual positions of images that have predictions, with what was predicted and stated there."""
        schema = self._study.schema
        annotated = self._annotations.columns(images, schema)
        predicted = self._predictions.columns(images, schema)
        both = annotated.is_manual & annotated.has_position & predicted.has_position
        first = 3 - ndim
        apart = self._annotations.positions(images, schema) - self._predictions.positions(images, schema)
        offsets = np.where(both[..., None], apart, np.nan)[..., first:]
        errors = predicted.expected_errors
        own = self._predictions.covariances(images, schema)[..., first:, first:]
        unknown = np.asarray(np.isnan(own).any((2, 3)))
        extent = np.where(unknown[..., None, None], isotropic(errors, ndim), own)
        return Corrections(offsets, errors, extent)

    @property
    def revision(self) -> int:
        """Number that grows with every change of the landmarks."""
        self._summarize_all()
        return self._revision

    def state(self, image: str) -> str:
        """State of an image: 'annotated', 'corrected', 'predicted', or '' without any landmark."""
        self._summarize_all()
        return self._states.get(image, "")

    def state_counts(self, images: Collection[str]) -> Counter[str]:
        """Number of images in each state; see `state`."""
        self._summarize_all()
        if (
            self._counted is None or self._counted[0] is not images
        ):  # asked for by every widget, of all images
            self._counted = images, Counter(map(self._states.get, images, [""] * len(images)))
        return self._counted[1]

    def is_reviewed(self, image: str) -> bool:
        """Whether a person decided on each landmark of an image that is not unplaced."""
        self._summarize_all()
        return self._reviewed.get(image, False)

    def decided_count(self, image: str) -> tuple[int, int]:
        """Number of landmarks of an image that a person decided on, and of those decided on or predicted."""
        columns = self.result_columns((image,))
        decided, predicted = columns.is_manual, columns.has_status(Status.PREDICTED)
        return int(decided.sum()), int((decided | predicted).sum())

    def reviewed_count(self, images: Collection[str]) -> int:
        """Number of reviewed images; see `is_reviewed`."""
        self._summarize_all()
        if self._reviewed_counted is None or self._reviewed_counted[0] is not images:
            self._reviewed_counted = images, sum(map(self._reviewed.get, images, [False] * len(images)))
        return self._reviewed_counted[1]

    def undecided_errors(self, images: Sequence[str]) -> NDArray[np.float64]:
        """(n, m) expected errors in native pixels of predictions that nobody decided on.

        NaN where there is none, infinity where the error is not known.
        """
        annotated = self._annotations.columns(images, self._study.schema)
        predicted = self._predictions.columns(images, self._study.schema)
        undecided = predicted.has_position & ~annotated.is_manual
        errors = np.where(np.isnan(predicted.expected_errors), np.inf, predicted.expected_errors)
        return np.where(undecided, errors, np.nan)

    def take_saved(self, image: str, marks: LandmarkSet) -> None:
        """Take over an annotation that was written to the study's files, such as in a thread."""
        self._annotations.put(image, marks)
        self._summarize((image,))

    def image_state(self, image: str) -> ImageState | None:
        """Judgement of the model of an image; None where there is none."""
        return self._predictions.image_state(image)

    def is_flagged(self, image: str) -> bool:
        """Whether a user should look at an image that nobody annotated, corrected or decided on."""
        state = self.image_state(image)
        undecided = self.state(image) == "predicted" and self.decision(image) is None
        return state is not None and state.is_flagged and undecided

    def flagged_images(self) -> set[str]:
        """All images that are flagged; see `is_flagged`."""
        return {image for image in self._predictions.judged_images if self.is_flagged(image)}

    def decision(self, image: str) -> ImageDecision | None:
        """Decision of the user on an image."""
        return self.facts(image).decision

    def facts(self, image: str) -> ImageFacts:
        """What the user says of an image."""
        return self._facts.get(image, _NO_FACTS)

    @property
    def fact_columns(self) -> tuple[str, ...]:
        """Titles of the columns of facts besides state, remark and reader."""
        return tuple(dict.fromkeys(title for one in self._facts.values() for title in one.more))

    def decide(self, image: str, decision: ImageDecision | None) -> None:
        """Keep the decision of the user on an image; None takes it back. Its file is written first.

        Raises
        ------
        InputError
            Another program annotates the study, or the file cannot be written.
        """
        self.check_right()
        self._study.decide(image, decision)
        self._facts = self._study.facts()

    def set_facts(self, image: str, facts: ImageFacts) -> None:
        """Keep what the user says of an image; its file is written first. Raises as `decide`."""
        self.check_right()
        self._study.set_facts(image, facts)
        self._facts = self._study.facts()

    def fill_laterality(self, mirrored: Mapping[str, bool], *, image: str) -> list[str]:
        """Write the side of each image that has none into the facts. Returns and raises as `Study.fill_laterality`."""
        self.check_right()
        contrary = self._study.fill_laterality(mirrored, image=image)
        self._facts = self._study.facts()
        return contrary

    def expected_error(self, image: str) -> tuple[float, float]:
        """Mean and largest expected error in native pixels of the predictions that no annotation replaces.

        Minus infinity, twice, where there is none: such images come last in review.
        """
        self._summarize_all()
        return self._errors.get(image, _NO_ERROR)

    def expected_errors(self, images: Collection[str]) -> dict[str, tuple[float, float]]:
        """Expected errors by image; see `expected_error`."""
        self._summarize_all()
        return dict(zip(images, map(self._errors.get, images, [_NO_ERROR] * len(images)), strict=True))

    def positions(self, images: Sequence[str], ndim: int) -> NDArray[np.float64]:
        """Positions of the results of many images as they are now: (n, k, ndim), NaN without one; see `result`.

        Images that the user left out have none.
        """
        annotated = self._annotations.columns(images, self._study.schema)
        found = self._result_positions(images, annotated.is_manual)
        left_out = [self.decision(image) is ImageDecision.LEFT_OUT for image in images]
        found[np.array(left_out, bool)] = np.nan
        return found[..., 3 - ndim :]

    def _result_positions(self, images: Sequence[str], is_manual: NDArray[np.bool_]) -> NDArray[np.float64]:
        schema = self._study.schema
        annotated, predicted = (
            self._annotations.positions(images, schema),
            self._predictions.positions(images, schema),
        )
        return np.where(is_manual[..., None], annotated, predicted)

    def placed_counts(self, images: Collection[str]) -> dict[str, int]:
        """Number of manual positions by image, for those of the named images that have any."""
        annotated = self._annotations.images
        known = [image for image in images if image in annotated]
        counts = self._annotations.columns(known, self._study.schema).has_position.sum(axis=1)
        return {image: count for image, count in zip(known, counts.tolist(), strict=True) if count}

    def annotated_images(self, name: str) -> list[str]:
        """Images in which a landmark is annotated."""
        images = list(self._annotations.images)
        manual = self._annotations.columns(images, LandmarkSchema((name,))).is_manual[:, 0]
        return [image for image, is_manual in zip(images, manual.tolist(), strict=True) if is_manual]

    def images_with_prediction_of(self, name: str) -> list[str]:
        """Images in which a model said something of a landmark."""
        images = list(self._predictions.images)
        unplaced = self._predictions.columns(images, LandmarkSchema((name,))).has_status(Status.UNPLACED)[
            :, 0
        ]
        return [image for image, empty in zip(images, unplaced.tolist(), strict=True) if not empty]

    def is_used(self, name: str) -> bool:
        """Whether a landmark is annotated or predicted in any image."""
        return bool(self.annotated_images(name) or self.images_with_prediction_of(name))

    @property
    def any_annotation(self) -> bool:
        """Whether any image has an annotation."""
        columns = self._annotations.columns(self._annotations.images, self._study.schema)
        return bool(columns.is_manual.any())

    @property
    def any_prediction(self) -> bool:
        """Whether any image has a prediction."""
        return bool(len(self._predictions))

    def annotate(self, image: str, marks: LandmarkSet, geometry: Geometry) -> None:
        """Replace the annotation of an image; its file is written first.

        Raises
        ------
        InputError
            Another program annotates the study, it is paused, or the file cannot be written.
        """
        self.check_right()
        self._study.save_annotations(image, marks, geometry)
        self._annotations.put(image, marks)
        self._summarize((image,))

    def check_right(self) -> None:
        """Raise InputError where the store is paused, another program annotates the study, or did since it was read."""
        if self.paused:
            raise InputError(self.paused)
        if self._lock is not None:
            return
        try:
            self._acquire()
        except StudyInUseError as error:
            self.in_use = self._read_only(error)
            raise InputError(self.in_use) from error
        self.in_use = ""
        self.reload()
        raise InputError(
            f"{self._study.folder}: was annotated by another program and has been read again: repeat your last step"
        )

    def _read_only(self, error: InputError) -> str:
        """Message of a lock without the path in front of it, which every line of the viewer would begin with."""
        return f"Read only: {word(error).removeprefix(f'{self._study.folder}: ')}"

    def release(self) -> None:
        """Release the lock, so that other programs can annotate the study."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def has_shown(self, saved: SavedPredictions) -> bool:
        """Whether predictions that were read are those that are here already."""
        return self._predictions.same(saved.landmarks) if saved.is_whole else not len(saved.landmarks)

    def show_predictions(self, saved: SavedPredictions) -> None:
        """Take over predictions that were read."""
        if saved.is_whole:
            self._predictions = saved.landmarks
        else:
            self._predictions.update(saved.landmarks)
        self._summarized = None

    def _acquire(self) -> None:
        """Take the lock, and what was changed before it was free."""
        self._lock = StudyLock(self._study.folder, ANNOTATING)
        discard_unfinished(self._study.folder)
        self._study.read_again()

    def _summarize_all(self) -> None:
        """Compute the states and errors of all images, unless they are known for the landmarks of the study."""
        schema = self._study.schema
        if self._summarized is schema:
            return
        if self._summarized != schema:  # not another object alone, such as one that was read again
            self._states.clear()
            self._reviewed.clear()
            self._errors.clear()
            self._summarize(
                tuple({**dict.fromkeys(self._annotations.images), **dict.fromkeys(self._predictions.images)})
            )
        self._summarized = schema

    def _summarize(self, images: Sequence[str]) -> None:
        self._revision += 1
        self._counted = self._reviewed_counted = None
        annotated = self._annotations.columns(images, self._study.schema)
        predicted = self._predictions.columns(images, self._study.schema)
        manual = annotated.is_manual
        states = np.where(predicted.has_position.any(axis=1), 1, 0)
        states[manual.any(axis=1)] = 2
        states[annotated.has_status(Status.CORRECTED).any(axis=1)] = 3
        self._states.update(zip(images, map(_STATES.__getitem__, states.tolist()), strict=True))
        undecided = predicted.has_position & ~manual
        reviewed = np.asarray(manual.any(axis=1) & ~undecided.any(axis=1))
        self._reviewed.update(zip(images, reviewed.tolist(), strict=True))
        known = undecided & ~np.isnan(predicted.expected_errors)
        errors = np.where(known, predicted.expected_errors, 0.0)  # none is negative
        counts, largest = known.sum(axis=1), errors.max(axis=1, initial=0.0)
        means = errors.sum(axis=1) / np.maximum(counts, 1)
        means[counts == 0] = largest[counts == 0] = -np.inf
        self._errors.update(zip(images, zip(means.tolist(), largest.tolist(), strict=True), strict=True))
