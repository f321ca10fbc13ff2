"""Measurements of several readers, to be compared."""

from __future__ import annotations

from collections.abc import Mapping

from napari_landmark.data.formats.image_names import common_schema
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.measurement.cohort_landmarks import CohortLandmarks
from napari_landmark.measurement.evaluation import measure_cohort


def reader_values(
    measurements: MeasurementSchema,
    readers: Mapping[str, Mapping[str, LandmarkSet]],
    geometries: Mapping[str, Geometry],
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Measure what each reader placed.

    Parameters
    ----------
    measurements : MeasurementSchema
    readers : mapping of str to mapping of str to LandmarkSet
        By name of the reader and of the image.
    geometries : mapping of str to Geometry
        By name of the image; spacing is unknown for one that is not in it.

    Returns
    -------
    dict of str to dict of str to dict of str to float or None
        ``values[measurement][reader][image]``, as `measurement_agreement` takes them; None where it is left out.

    Raises
    ------
    InputError
        Some images are pictures and some are volumes.
    """
    values: dict[str, dict[str, dict[str, float | None]]] = {name: {} for name in measurements.names}
    for reader, sets in readers.items():
        placed = {image: marks for image, marks in sets.items() if marks.ndim is not None}
        if not placed:
            continue
        names = common_schema(placed.values()).names
        measured = measure_cohort(measurements, CohortLandmarks.of(placed, geometries, names=names))
        for column, measurement in enumerate(measurements.names):
            rows = zip(measured.images, measured.values[:, column].tolist(), strict=True)
            values[measurement][reader] = {image: value if value == value else None for image, value in rows}
    return values
