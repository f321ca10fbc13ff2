"""Landmarks to measure, from a study or a landmark file, with all that tables and reports say of their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import common_schema
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.data.measurement_language.schema_file import SchemaFile
from napari_landmark.data.study.image_facts import ImageFacts
from napari_landmark.data.study.landmark_source import LandmarkSource
from napari_landmark.data.study.settings import Spacing
from napari_landmark.data.study.study import Study
from napari_landmark.measurement.cohort_landmarks import CohortLandmarks
from napari_landmark.measurement.evaluation import MeasuredCohort, measure_cohort


@dataclass(frozen=True, eq=False)
class MeasuredInput:
    """Landmarks of images with their geometries, files and facts, and what is measured.

    Parameters
    ----------
    landmarks : mapping of str to LandmarkSet
        By name of the image; without images that were left out, and those without any position.
    schema : LandmarkSchema
        With links.
    measurements : MeasurementSchema
    geometries : mapping of str to Geometry
        Of the images whose geometry is known.
    files : mapping of str to Path
        Of the images whose file is known.
    facts : mapping of str to ImageFacts
    problems : tuple of str
        What could not be found, each in one line.
    """

    landmarks: Mapping[str, LandmarkSet]
    schema: LandmarkSchema
    measurements: MeasurementSchema
    geometries: Mapping[str, Geometry]
    files: Mapping[str, Path]
    facts: Mapping[str, ImageFacts] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @classmethod
    def of_study(
        cls,
        study: Study,
        *,
        schema: SchemaFile | None = None,
        images: Path | None = None,
        spacing: Spacing = None,
    ) -> Self:
        """Annotations of a study, completed by predictions.

        Parameters
        ----------
        study : Study
        schema : SchemaFile, optional
            Measurements and links, by default those of the study.
        images : Path, optional
            Folder of the images, by default that of the study.
        spacing : float or tuple of float, optional
            Millimetres per pixel of all images, by default those of the study or of the files.

        Raises
        ------
        InputError
            The study's files cannot be read, or nothing is measured in it.
        """
        measurements = study.measurements if schema is None else schema.measurements
        _check(measurements, study.folder)
        if schema is not None:
            measurements.check_landmarks(study.schema.names)
        links = study.schema if schema is None or study.schema.links else schema.landmarks
        own = replace(study.schema, links=links.links_among(study.schema.names))
        if schema is not None and not any(own.definitions):
            own = replace(own, definitions=_definitions(schema.landmarks, own.names))
        return cls._of(LandmarkSource.of_study(study, images=images, spacing=spacing), own, measurements)

    @classmethod
    def of_file(
        cls, path: Path, schema: SchemaFile, *, images: Path | None = None, spacing: Spacing = None
    ) -> Self:
        """Landmarks of a file of any format.

        Parameters
        ----------
        path : Path
        schema : SchemaFile
            What is measured.
        images : Path, optional
            Folder of the images: for their spacing, and for pictures in a report.
        spacing : float or tuple of float, optional
            Millimetres per pixel of all images.

        Raises
        ------
        InputError
            The file cannot be read, or has none of the landmarks that are measured.
        """
        _check(schema.measurements, path)
        source = LandmarkSource.of_file(path, images=images, spacing=spacing)
        known = common_schema(source.landmarks.values())
        needed = {name for one in schema.measurements.measurements for name in one.landmarks}
        if not needed & set(known.names):
            raise InputError(
                f"{path}: has none of the landmarks that are measured: it has {', '.join(known.names[:5])}, and "
                f"needed are {', '.join(sorted(needed)[:5])}: choose another schema, or rename the landmarks"
            )
        own = replace(
            known,
            definitions=_definitions(schema.landmarks, known.names),
            links=schema.landmarks.links_among(known.names),
        )
        return cls._of(source, own, schema.measurements)

    @classmethod
    def _of(cls, source: LandmarkSource, schema: LandmarkSchema, measurements: MeasurementSchema) -> Self:
        kept = {name: marks for name, marks in source.landmarks.items() if marks.ndim is not None}
        return cls(kept, schema, measurements, source.geometries, source.files, source.facts, source.problems)

    def measure(self, *, reader_error: float | None = None) -> MeasuredCohort:
        """Measure all images; see `measure_cohort`.

        Parameters
        ----------
        reader_error : float, optional
            Mean radial error of landmarks that persons place, in mm.
        """
        landmarks = CohortLandmarks.of(
            self.landmarks, self.geometries, names=self.schema.names, reader_error=reader_error
        )
        return measure_cohort(self.measurements, landmarks)


def _definitions(schema: LandmarkSchema, names: Sequence[str]) -> tuple[str, ...]:
    """Definitions of landmarks by their names; empty where the schema has none."""
    known = dict(zip(schema.names, schema.definitions, strict=True))
    return tuple(known.get(name, "") for name in names)


def _check(measurements: MeasurementSchema, where: Path) -> None:
    if not measurements:
        raise InputError(
            f"{where}: no measurements are defined: choose a schema with measurements, or a preset"
        )
