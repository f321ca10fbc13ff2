"""Contents of a report of measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import ImageNames
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import read_image
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.measurement_language.definition import Construction, Measurement, landmark_names
from napari_landmark.data.study.image_facts import ImageFacts
from napari_landmark.measurement.evaluation import INTERVAL_90, MeasuredCohort, MeasuredValue
from napari_landmark.measurement.measured_input import MeasuredInput
from napari_landmark.measurement.value_text import norm_source_text, number_text, spacing_source_text

MOST_IMAGES = 300
"""Images that have pages of their own; of larger cohorts those that deviate most."""
FEWEST_OF_HISTOGRAM = 5
"""Values of which a histogram is drawn."""
_MOST_OUTLIERS = 8
_MOST_NUMBERED = 8  # landmarks of a measurement, and missing ones, that are named
_VALUE = (
    "Value and ± (90%): in 9 of 10 images the true value is no farther from the value than this, as far as "
    "the expected errors of the landmarks hold. It tells how exactly this image was measured, not how much "
    "persons differ, and two readers differ by more than one reader's error."
)
_ASTERISK = (
    "*: the interval is that of the predicted landmarks alone; what a person placed counts as exact, because "
    "the error of that person is not stated. Where a person placed all landmarks there is then no interval."
)
_NORM = (
    "Norm: mean ± standard deviation (SD) of a population, or the range that is usual in it. It holds for "
    "that population, which is named below with the source."
)
_DEVIATION = (
    "Deviation: difference from the mean of the norm in its standard deviations. Of three persons of that "
    "population about two are within 1 SD, of twenty about nineteen within 2. Each * is a whole SD, three at "
    "most. In the chart the long line is the mean, the short ones are 1 and 2 SD; the dot is the value and "
    "the bar its interval: green within 1 SD, yellow within 2, red beyond, an arrow beyond 4."
)
_CLASS = (
    "Class '(or ...)': the interval reaches the limits of other classes; the value alone does not tell which "
    "it is."
)
_PICTURE = (
    "Picture: circle = placed or corrected by a person, diamond = predicted. The ring around a predicted "
    "landmark holds its true place in 9 of 10 images. Blue: links between landmarks. Yellow, dashed: "
    "constructed lines and points."
)
_SIZE = (
    "Pixel or voxel size: the millimetres that one covers, and where they came from. All lengths depend on "
    "them; angles and ratios do not, where pixels are square."
)
_VOLUMES = (
    "Volumes are drawn as radiographs, through all slices. Letters are sides of the patient: R right, L left, "
    "A anterior, P posterior, S superior, I inferior."
)


@dataclass(frozen=True)
class Definition:
    """Explanation of a landmark, a constructed line or a measurement.

    Parameters
    ----------
    name : str
    text : str
        Empty where the schema has none.
    details : str, optional
        Landmarks, source and norm, in small print.
    """

    name: str
    text: str
    details: str = ""


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
        missing = [name for name, mark in self.landmarks.items() if mark.position is None]
        points = f"{placed} placed by a person, {predicted} predicted"
        points += f", {covered} of them covered" if covered else ""
        if missing:
            more = f" and {len(missing) - _MOST_NUMBERED} more" if len(missing) > _MOST_NUMBERED else ""
            points += f"; without a position: {', '.join(missing[:_MOST_NUMBERED])}{more}"
        lines = [(title, text) for title, text in self.facts.more.items() if text.strip()]
        lines += [("Reader", self.facts.reader)] if self.facts.reader else []
        lines += [("Remark", self.facts.remark)] if self.facts.remark else []
        return [
            *lines,
            ("Landmarks", points),
            ("Voxel size" if self.landmarks.ndim == 3 else "Pixel size", self.spacing),
        ]


@dataclass(frozen=True)
class Distribution:
    """Values of one measurement in all images of a cohort.

    Parameters
    ----------
    measurement : Measurement
    count : int
        Images that have a value.
    mean, deviation : float
        NaN without values; the standard deviation of one value is 0.
    error : float
        Half the 90% interval, the median of the images; NaN where no error is known.
    """

    measurement: Measurement
    count: int
    mean: float
    deviation: float
    error: float

    @property
    def mean_text(self) -> str:
        """Mean and standard deviation; empty without values."""
        if not self.count:
            return ""
        return f"{number_text(self.mean, self.measurement)} ± {self.deviation:.{self.measurement.decimals}f}"

    @property
    def error_text(self) -> str:
        """Half the interval; empty where it is not known."""
        return "" if math.isnan(self.error) else f"± {self.error:.{self.measurement.decimals}f}"


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
    landmarks : LandmarkSchema
        In the order of their numbers in the pictures.
    constructions : tuple of Construction
        What is drawn beside landmarks and links.
    problems : tuple of str
    """

    title: str
    measured: MeasuredCohort
    images: tuple[ImageReport, ...]
    model: str
    day: date
    version: str
    landmarks: LandmarkSchema
    constructions: tuple[Construction, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def footer(self) -> str:
        """Line on every page."""
        model = f"{self.model}, " if self.model else ""
        return f"{self.title}, {model}{self.day.isoformat()}, napari-landmark {self.version}"

    @property
    def how_to_read(self) -> list[str]:
        """Explanations of what the report shows."""
        measurements = self.measured.schema.measurements
        volumes = any(image.landmarks.ndim == 3 for image in self.images)
        norms = [one for measurement in measurements for one in measurement.norms]
        paragraphs = (
            (_VALUE, True),
            (_ASTERISK, True),
            (_NORM, bool(norms)),
            (_DEVIATION, any(one.sd for one in norms)),
            (_CLASS, any(one.classes for one in measurements)),
            (_PICTURE, True),
            (_VOLUMES, volumes),
            (_SIZE, True),
        )
        return [text for text, is_shown in paragraphs if is_shown]

    @property
    def outlier_texts(self) -> list[str]:
        """The images that deviate most from the others, such as '012.jpg (SNB +4.1 SD)'; none of one image."""
        measured = self.measured
        deviations = measured.robust_deviations()
        texts = []
        for image in images_by_deviation(measured)[:_MOST_OUTLIERS]:
            own = deviations[measured.images.index(image)]
            if np.isfinite(own).any():
                column = int(np.nanargmax(np.abs(own)))
                texts.append(f"{image} ({measured.schema.names[column]} {own[column]:+.1f} SD)")
        return texts

    @property
    def summary(self) -> list[Distribution]:
        """Distribution of each measurement."""
        made = []
        for number, measurement in enumerate(self.measured.schema.measurements):
            values, errors = self.measured.values[:, number], self.measured.errors[:, number]
            values, errors = values[np.isfinite(values)], errors[np.isfinite(errors)]
            mean = float(values.mean()) if len(values) else math.nan
            deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
            error = INTERVAL_90 * float(np.median(errors)) if len(errors) else math.nan
            made.append(Distribution(measurement, len(values), mean, deviation, error))
        return made

    @property
    def landmark_definitions(self) -> list[Definition]:
        """Landmarks by number and name, those that are defined."""
        names, definitions = self.landmarks.names, self.landmarks.definitions
        numbered = enumerate(zip(names, definitions, strict=True), 1)
        return [Definition(f"{number} {name}", text) for number, (name, text) in numbered if text]

    @property
    def construction_definitions(self) -> list[Definition]:
        """Constructed lines and points, which the pictures show dashed."""
        return [
            Definition(one.name, "", self._numbered(landmark_names(one.expression)))
            for one in self.constructions
        ]

    @property
    def measurement_definitions(self) -> list[Definition]:
        """Measurements with their landmarks, sources and norms."""
        made = []
        for one in self.measured.schema.measurements:
            norms = dict.fromkeys(filter(None, map(norm_source_text, one.norms)))
            norm = f"norm: {' / '.join(norms)}" if norms else ""
            details = (self._numbered(one.landmarks), one.source and f"source: {one.source}", norm)
            made.append(Definition(one.name, one.text, "; ".join(filter(None, details))))
        return made

    def _numbered(self, names: Sequence[str]) -> str:
        """Landmarks with their numbers in the pictures."""
        if len(names) > _MOST_NUMBERED:
            return f"{len(names)} landmarks"
        numbers = {name: number for number, name in enumerate(self.landmarks.names, 1)}
        return ", ".join(f"{numbers[name]} {name}" if name in numbers else name for name in names)


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
    return Report(
        title,
        measured,
        tuple(pages),
        model,
        date.today(),
        __version__,
        source.schema,
        source.measurements.constructions,
        source.problems,
    )


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
    return f"{size} mm, {spacing_source_text(geometry.spacing_statement)}"
