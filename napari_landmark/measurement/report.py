"""Contents of a report of measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import ImageNames
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import read_image
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.measurement_language.definition import Construction
from napari_landmark.data.study.image_facts import ImageFacts
from napari_landmark.measurement.evaluation import MeasuredCohort, MeasuredValue
from napari_landmark.measurement.measured_input import MeasuredInput

MOST_IMAGES = 300
"""Images that have pages of their own; of larger cohorts those that deviate most."""
HOW_TO_READ = (
    "Value ± is half the interval that holds the true value in 9 of 10 images, as far as the expected errors of the "
    "landmarks hold. It says nothing of persons: two readers differ by more than one reader's error.",
    "* The interval is that of the predicted landmarks alone; what a person placed counts as exact, because the error "
    "of that person is not known.",
    "Deviation: difference from the mean of the norm in its standard deviations (SD). Two of three healthy persons "
    "are within 1 SD, 19 of 20 within 2. Each star is one SD. A norm holds for the population it was measured in.",
    "Class '(or ...)': the interval reaches the limits of other classes; the value alone does not tell which it is.",
    "Points: circle = placed or corrected by a person, diamond = predicted; the ring around a predicted point holds "
    "the true place in 9 of 10 images. Blue: links. Yellow, dashed: constructed lines and planes.",
)
"""Explanations at the end of each report."""


@dataclass(frozen=True, eq=False)
class ImageReport:
    """Contents of the pages of one image.

    Parameters
    ----------
    image : str
    values : tuple of MeasuredValue
    landmarks : LandmarkSet
    geometry : Geometry, optional
    facts : ImageFacts
    constructions : tuple of Construction
    spacing : str
        The spacing and where it came from, in words.
    file : Path, optional
        File of the image.
    """

    image: str
    values: tuple[MeasuredValue, ...]
    landmarks: LandmarkSet
    geometry: Geometry | None
    facts: ImageFacts
    constructions: tuple[Construction, ...]
    spacing: str
    file: Path | None

    def pixels(self) -> NDArray | None:
        """Pixels of the image; None where it cannot be read."""
        if self.file is None:
            return None
        try:
            return read_image(self.file).array
        except InputError:
            return None

    @property
    def fact_lines(self) -> list[tuple[str, str]]:
        """Titles and texts of what is known of the image."""
        predicted = sum(
            mark.position is not None and not mark.status.is_manual for mark in self.landmarks.values()
        )
        placed = sum(mark.position is not None and mark.status.is_manual for mark in self.landmarks.values())
        covered = sum(mark.covered for mark in self.landmarks.values())
        points = f"{placed} placed by a person, {predicted} predicted"
        lines = [(title, text) for title, text in self.facts.more.items() if text.strip()]
        lines += [("Reader", self.facts.reader)] if self.facts.reader else []
        lines += [("Remark", self.facts.remark)] if self.facts.remark else []
        return [
            *lines,
            ("Landmarks", points + (f", {covered} of them covered" if covered else "")),
            ("Pixel size", self.spacing),
        ]


@dataclass(frozen=True, eq=False)
class Report:
    """Contents of a report.

    Parameters
    ----------
    title : str
    measured : MeasuredCohort
        Of all images of the cohort.
    images : tuple of ImageReport
        Images that have pages.
    model : str
        Model of the predictions, in words; empty where it is not known.
    day : date
    version : str
        Of this package.
    problems : tuple of str
    """

    title: str
    measured: MeasuredCohort
    images: tuple[ImageReport, ...]
    model: str
    day: date
    version: str
    problems: tuple[str, ...] = field(default=())

    @property
    def footer(self) -> str:
        """Line on every page."""
        model = f"{self.model}, " if self.model else ""
        return f"{self.title}, {model}{self.day.isoformat()}, napari-landmark {self.version}"


def make_report(
    source: MeasuredInput,
    measured: MeasuredCohort,
    *,
    title: str,
    model: str = "",
    images: Sequence[str] = (),
) -> Report:
    """Gather the contents of a report.

    Parameters
    ----------
    source : MeasuredInput
    measured : MeasuredCohort
        Its measurements.
    title : str
    model : str, optional
        Model of the predictions, in words.
    images : sequence of str, optional
        Images that have pages; by default all, of more than `MOST_IMAGES` those that deviate most.

    Raises
    ------
    InputError
        One of `images` has no landmarks.
    """
    from napari_landmark import __version__

    known = ImageNames(measured.images)
    if images:
        names = [known.find(image) or _refuse(image, known) for image in images]
    elif len(measured.images) > MOST_IMAGES:
        names = images_by_deviation(measured)[:MOST_IMAGES]
    else:
        names = list(measured.images)
    pages = []
    for image in names:
        facts = source.facts.get(image, ImageFacts())
        geometry = source.geometries.get(image)
        marks = source.landmarks[image]
        pages.append(
            ImageReport(
                image,
                measured.row(image, sex=facts.sex),
                LandmarkSet(source.schema, marks.values(), image_state=marks.image_state),
                geometry,
                facts,
                source.measurements.constructions,
                _spacing_text(geometry),
                source.files.get(image),
            )
        )
    day = date.today()
    return Report(title, measured, tuple(pages), model, day, __version__, source.problems)


def images_by_deviation(measured: MeasuredCohort) -> list[str]:
    """Names of the images, those with the largest deviation from the cohort first."""
    deviations = np.nan_to_num(np.abs(measured.robust_deviations()), nan=-1.0)
    largest = deviations.max(axis=1, initial=-1.0)
    return [measured.images[row] for row in np.argsort(-largest, kind="stable")]


def _refuse(image: str, known: ImageNames) -> str:
    raise InputError(f"{image}: has no landmarks here; an example of the images that have: {known.example}")


def _spacing_text(geometry: Geometry | None) -> str:
    if geometry is None or geometry.spacing is None:
        return "unknown: no lengths, and angles as of square pixels"
    size = " x ".join(f"{value:.4g}" for value in reversed(geometry.spacing))
    return f"{size} mm ({geometry.spacing_statement})"
