"""Measurements of the open study: those of the current image as it is shown, and those of the cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.gui.session.session import Session
from napari_landmark.measurement.cohort_landmarks import CohortLandmarks
from napari_landmark.measurement.evaluation import MeasuredCohort, MeasuredValue, measure_cohort


class Measurements:
    """Values of the current image, which follow a point while it is dragged, and of all images.

    Only the current image is measured in the main thread; all images are measured by a job.

    Parameters
    ----------
    session : Session

    Attributes
    ----------
    cohort : MeasuredCohort or None
        Measurements of all images as they were when they were measured last, with the current image as it is now.
    """

    current_changed = Signal()
    """Values of the current image changed."""
    cohort_changed = Signal()
    """All images were measured."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.cohort: MeasuredCohort | None = None
        self._deviations: NDArray[np.float64] | None = None
        self._current: MeasuredCohort | None = None

    @property
    def schema(self) -> MeasurementSchema:
        """Definitions of the study; none without a study."""
        study = self._session.study
        return MeasurementSchema() if study is None else study.measurements

    def refresh(self, dragged: dict[str, tuple[float, ...]] | None = None) -> None:
        """Measure the current image.

        Parameters
        ----------
        dragged : dict of str to tuple of float, optional
            Positions of landmarks that are being dragged, in index coordinates; they are not saved yet.
        """
        image = self._session.current_image
        if not image or not self.schema:
            self._current = None
        else:
            self._current = measure_cohort(self.schema, self._landmarks((image,), dragged or {}))
            if not dragged and self.cohort is not None and self._current.schema == self.cohort.schema:
                self.cohort = self.cohort.with_images(self._current)
        self.current_changed.emit()

    def current(self) -> tuple[MeasuredValue, ...]:
        """Values of the current image; empty without one or without definitions."""
        image = self._session.current_image
        if self._current is None or image not in self._current.images or self._current.schema != self.schema:
            return ()
        return self._current.row(image, sex=self._session.require_store().facts(image).sex)

    def of(self, image: str) -> tuple[MeasuredValue, ...]:
        """Values of another image, measured now."""
        measured = measure_cohort(self.schema, self._landmarks((image,), {}))
        return measured.row(image, sex=self._session.require_store().facts(image).sex)

    def prepare(self) -> Callable[[], MeasuredCohort]:
        """Function that measures all images as they are now; for a thread."""
        names = self._session.names
        schema, landmarks = self.schema, self._landmarks(names, {})
        return lambda: measure_cohort(schema, landmarks)

    def show(self, measured: MeasuredCohort) -> None:
        """Take over the measurements of all images; those of other definitions are left aside."""
        if measured.schema == self.schema:
            self.cohort, self._deviations = measured, measured.robust_deviations()
            self.refresh()
            self.cohort_changed.emit()

    def clear(self) -> None:
        """Forget the cohort, of which the definitions or the images changed."""
        self.cohort = self._deviations = self._current = None

    def outliers(self, name: str = "") -> list[tuple[str, float, str]]:
        """Images, their deviations from the cohort and in which measurement, largest first.

        Parameters
        ----------
        name : str, optional
            A measurement; by default that in which the image deviates most.
        """
        if self.cohort is None or self._deviations is None:
            return []
        names = self.cohort.schema.names
        sizes = np.nan_to_num(np.abs(self._deviations), nan=-1.0)
        columns = np.full(len(sizes), names.index(name)) if name in names else sizes.argmax(axis=1)
        rows = np.arange(len(sizes))
        order = np.argsort(-sizes[rows, columns], kind="stable")
        found = ((row, int(columns[row])) for row in order.tolist() if sizes[row, columns[row]] >= 0)
        return [
            (self.cohort.images[row], float(self._deviations[row, column]), names[column])
            for row, column in found
        ]

    def _landmarks(self, images: Sequence[str], dragged: dict[str, tuple[float, ...]]) -> CohortLandmarks:
        session = self._session
        schema, cohort = session.require_study().schema, session.require_cohort()
        positions, errors, manual = session.require_store().result_arrays(images)
        ndim = cohort.ndim
        positions = positions[..., -ndim:]
        covariances = session.require_store().covariances(images, ndim)
        for name, position in dragged.items():
            column = schema.index(name)
            positions[0, column] = position
            manual[0, column], errors[0, column] = True, np.nan
            covariances[0, column] = np.nan
        geometries = [cohort.geometry(cohort.index(image)) for image in images]
        spacings = np.array([geometry.spacing or (np.nan,) * ndim for geometry in geometries])
        return CohortLandmarks.from_arrays(
            tuple(images),
            schema.names,
            positions,
            errors,
            manual,
            spacings.reshape(len(images), ndim),
            tuple(geometry.spacing_statement for geometry in geometries),
            covariances=covariances,
        )
