"""Landmarks to measure, from a study or a landmark file, with all that tables and reports say of their images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from napari_landmark.data.cohort.folder import image_files, list_files
from napari_landmark.data.cohort.folder_geometries import FolderGeometries
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import ImageNames, common_schema
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import read_geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.data.measurement_language.schema_file import SchemaFile
from napari_landmark.data.study.image_facts import ImageDecision, ImageFacts
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
        facts, predictions = study.facts(), study.predictions()
        annotations = study.annotations()
        out = {name for name, one in facts.items() if one.decision is ImageDecision.LEFT_OUT}
        sets = {}
        for name in sorted({*annotations, *predictions} - out):
            known = annotations.get(name, LandmarkSet(study.schema))
            sets[name] = known.merged_with_prediction(predictions.get(name, LandmarkSet(study.schema)))
        problems: list[str] = []
        files: dict[str, Path] = {}
        try:
            folder = study.require_images() if images is None else images
            files = dict(list_files(folder, study.extra))
        except InputError as error:
            problems.append(str(error))
        links = study.schema if schema is None or study.schema.links else schema.landmarks
        own = replace(study.schema, links=links.links_among(study.schema.names))
        made = cls._placed(sets, own, measurements, files, study.spacing if spacing is None else spacing)
        return replace(made, facts=facts, problems=(*problems, *made.problems))

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
        files = {} if images is None else dict(image_files(images)[0])
        sets = read_landmarks(
            path, geometries=None if images is None else FolderGeometries(images, spacing=spacing)
        )
        known = common_schema(sets.values())
        needed = {name for one in schema.measurements.measurements for name in one.landmarks}
        if not needed & set(known.names):
            raise InputError(
                f"{path}: has none of the landmarks that are measured: it has {', '.join(known.names[:5])}, and "
                f"needed are {', '.join(sorted(needed)[:5])}: choose another schema, or rename the landmarks"
            )
        own = replace(known, links=schema.landmarks.links_among(known.names))
        names = ImageNames(files)
        found = {image: names.find(image) for image in sets} if files else {}
        problems = tuple(f"{image}: is not among the images" for image, file in found.items() if file is None)
        own_files = {image: files[file] for image, file in found.items() if file is not None}
        made = cls._placed(sets, own, schema.measurements, own_files, spacing)
        return replace(made, problems=(*problems, *made.problems))

    @classmethod
    def _placed(
        cls,
        sets: Mapping[str, LandmarkSet],
        schema: LandmarkSchema,
        measurements: MeasurementSchema,
        files: Mapping[str, Path],
        spacing: Spacing,
    ) -> Self:
        """Sets that have any position, with the geometries of their images."""
        kept = {name: marks for name, marks in sets.items() if marks.ndim is not None}
        geometries: dict[str, Geometry] = {}
        problems = []
        for name, marks in kept.items():
            if name in files:
                try:
                    geometries[name] = read_geometry(files[name], spacing=spacing)
                    continue
                except InputError as error:
                    problems.append(f"left without its image: {error}")
            if spacing is not None:
                # Of an image that is not here only the spacing is known; its size must hold the landmarks.
                corner = np.nanmax(marks.positions(), axis=0)
                shape = tuple(int(value) + 2 for value in np.maximum(corner, 0))
                geometries[name] = Geometry(shape).with_spacing(spacing)
        return cls(kept, schema, measurements, geometries, dict(files), problems=tuple(problems))

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


def _check(measurements: MeasurementSchema, where: Path) -> None:
    if not measurements:
        raise InputError(
            f"{where}: no measurements are defined: choose a schema with measurements, or a preset"
        )
