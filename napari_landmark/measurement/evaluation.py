"""Values of measurements with the errors that follow from those of the landmarks.

Errors are propagated to first order: with J the derivatives of a value by the coordinates of its landmarks and C the
covariance of those, the variance is J C J^T (GUM, JCGM 100:2008, 5.1 and 5.2). Errors of landmarks are taken as normal,
of the same size along all axes where their covariance is not known and, unless correlations are given, independent of
each other. The sign of a distance
of two points has its own probability to be wrong, which adds the variance of a value that is either.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from napari_landmark.data.measurement_language.definition import (
    Construction,
    Measurement,
    MeasurementSchema,
    Norm,
    ValueClass,
    landmark_names,
)
from napari_landmark.data.measurement_language.expression import AngleRange, Expression, Kind, Sort
from napari_landmark.measurement.cohort_landmarks import CohortLandmarks
from napari_landmark.measurement.geometry import (
    Lines,
    angle_between,
    circle_centre,
    distance_to_line,
    intersection,
    line_through,
    perpendicular,
    projection,
    signed_angle,
    signed_distance_to_line,
)

Array = NDArray[np.float64]
INTERVAL_90 = 1.6448536269514722
"""Standard errors from the value to the ends of its 90% interval."""
BETWEEN_LIMITS = "between the limits"
_STEP = 1e-5  # of the spread of the landmarks, for the derivatives
_CHUNK = 3_000_000  # coordinates at once
_UPRIGHT = 0.5  # smallest cosine of the angle between 'facing' and the horizontal


class ErrorSource(StrEnum):
    """Landmarks whose errors the error of a value carries."""

    ALL = ""
    """All of them."""
    PREDICTIONS = "of predicted landmarks only"
    """Those of predictions; what persons placed counts as exact, since their error is not known."""
    UNKNOWN = "unknown"
    """None: the error of the value is not known."""


_SOURCES = tuple(ErrorSource)
_CODES = {source: code for code, source in enumerate(_SOURCES)}


@dataclass(frozen=True)
class MeasuredValue:
    """One measurement in one image.

    Parameters
    ----------
    image : str
    measurement : Measurement
    value : float, optional
        In the unit of the measurement; None where it is left out.
    standard_error : float, optional
        One standard deviation; None where it is not known.
    error_source : ErrorSource
    left_out : str
        Reason without a value, such as 'needs Gonion'; else empty.
    note : str
        Assumption that the value depends on; else empty.
    norm : Norm, optional
        The norm for this person.
    """

    image: str
    measurement: Measurement
    value: float | None = None
    standard_error: float | None = None
    error_source: ErrorSource = ErrorSource.UNKNOWN
    left_out: str = ""
    note: str = ""
    norm: Norm | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Interval that holds the true value in 90 of 100 images, as far as its landmarks' errors are as expected."""
        if self.value is None or self.standard_error is None:
            return None
        return self.value - INTERVAL_90 * self.standard_error, self.value + INTERVAL_90 * self.standard_error

    @property
    def deviation(self) -> float | None:
        """Difference from the mean of the norm in its standard deviations; None without both."""
        if self.value is None or self.norm is None or self.norm.mean is None or self.norm.sd is None:
            return None
        return (self.value - self.norm.mean) / self.norm.sd

    @property
    def outside_range(self) -> float | None:
        """Difference from the nearer end of the norm's range, 0 inside; None without a range."""
        if self.value is None or self.norm is None or self.norm.low is None or self.norm.high is None:
            return None
        return min(self.value - self.norm.low, 0.0) + max(self.value - self.norm.high, 0.0)

    @property
    def class_name(self) -> str:
        """Name of its class, 'between the limits' where none holds it; empty without classes or value."""
        if self.value is None or not self.measurement.classes:
            return ""
        found = self.measurement.class_of(self.value)
        return BETWEEN_LIMITS if found is None else found.name

    @property
    def possible_classes(self) -> tuple[ValueClass, ...]:
        """Classes that the 90% interval reaches; that of the value alone where the error is not known."""
        if self.value is None:
            return ()
        low, high = self.interval or (self.value, self.value)
        span = ValueClass("", low, high, True, True)
        return tuple(one for one in self.measurement.classes if one.overlaps(span))


@dataclass(frozen=True, eq=False)
class MeasuredCohort:
    """Measurements of n images and k definitions.

    Parameters
    ----------
    images : tuple of str
    schema : MeasurementSchema
    values, errors : (n, k) array
        Values and standard errors in the units of the measurements; NaN where left out or unknown.
    sources : (n, k) array of int
        Places in `tuple(ErrorSource)`.
    left_out : (n, k) array of str
        Reasons of values that are left out.
    notes : tuple of str
        Assumption of each image that its values depend on, such as square pixels; else empty.
    spacing_sources : tuple of str
    """

    images: tuple[str, ...]
    schema: MeasurementSchema
    values: Array
    errors: Array
    sources: NDArray[np.uint8]
    left_out: NDArray[np.object_]
    notes: tuple[str, ...]
    spacing_sources: tuple[str, ...]

    def row(self, image: str, *, sex: str = "") -> tuple[MeasuredValue, ...]:
        """All measurements of an image; `sex` ('m' or 'f') selects norms that depend on it."""
        row = self.images.index(image)
        made = []
        for column, measurement in enumerate(self.schema.measurements):
            value, error = float(self.values[row, column]), float(self.errors[row, column])
            has = value == value
            made.append(
                MeasuredValue(
                    image,
                    measurement,
                    value if has else None,
                    error if has and error == error else None,
                    _SOURCES[self.sources[row, column]] if has else ErrorSource.UNKNOWN,
                    self.left_out[row, column],
                    self.notes[row] if has else "",
                    measurement.norm_for(sex),
                )
            )
        return tuple(made)

    def with_images(self, other: MeasuredCohort) -> MeasuredCohort:
        """The same with the measurements of some images replaced by newer ones of the same definitions."""
        rows = [self.images.index(image) for image in other.images if image in self.images]
        own = [row for row, image in enumerate(other.images) if image in self.images]
        values, errors = self.values.copy(), self.errors.copy()
        sources, left_out = self.sources.copy(), self.left_out.copy()
        values[rows], errors[rows] = other.values[own], other.errors[own]
        sources[rows], left_out[rows] = other.sources[own], other.left_out[own]
        return dataclasses.replace(self, values=values, errors=errors, sources=sources, left_out=left_out)

    def column(self, name: str) -> Array:
        """(n,) values of a measurement."""
        return self.values[:, self.schema.names.index(self.schema.measurement(name).name)]

    def robust_deviations(self) -> Array:
        """(n, k) differences from the cohort's median in robust standard deviations.

        The deviation is 1.4826 times the median absolute one.
        NaN without a value, and for all images where fewer than five have one or half of them have the same.
        """
        with np.errstate(invalid="ignore"):
            known = np.isfinite(self.values)
            enough = known.sum(axis=0) >= 5
            filled = np.where(enough[None, :] & known, self.values, np.nan)
            usable = np.where(enough[None, :], filled, 0.0)
            medians = np.nanmedian(usable, axis=0)
            spread = 1.4826 * np.nanmedian(np.abs(usable - medians), axis=0)
            scale = np.where(spread > 0, spread, np.nan)
            return (filled - medians) / scale


def measure_cohort(
    schema: MeasurementSchema,
    landmarks: CohortLandmarks,
    *,
    correlation: NDArray[np.float64] | None = None,
) -> MeasuredCohort:
    """Measure all images of a cohort.

    Parameters
    ----------
    schema : MeasurementSchema
    landmarks : CohortLandmarks
    correlation : (m, m) array, optional
        Correlations of the landmarks' errors along each axis, in the order of `landmarks.names`; none by default.

    Returns
    -------
    MeasuredCohort
        What cannot be computed is left out with its reason; nothing is raised for a single image.
    """
    count, columns = len(landmarks), len(schema)
    values, errors = np.full((count, columns), np.nan), np.full((count, columns), np.nan)
    sources = np.full((count, columns), _CODES[ErrorSource.UNKNOWN], np.uint8)
    reasons = np.full((count, columns), "", dtype=object)
    mirrored, side_problem = _sides(schema, landmarks)
    positions, roots = landmarks.positions.copy(), landmarks.roots.copy()
    if landmarks.ndim == 2:
        signs = np.where(mirrored, -1.0, 1.0)[:, None]
        positions[..., 1] *= signs
        roots[..., 1, :] *= signs[..., None]
        roots[..., :, 1] *= signs[..., None]
    for column, measurement in enumerate(schema.measurements):
        reason = _reasons(measurement, landmarks, side_problem)
        todo = np.flatnonzero(reason == "")
        coordinates = len(measurement.landmarks) * landmarks.ndim
        size = max(1, _CHUNK // (coordinates * (1 + 2 * coordinates)))
        for start in range(0, len(todo), size):
            rows = todo[start : start + size]
            values[rows, column], errors[rows, column], sources[rows, column] = _measure(
                measurement, landmarks, positions, roots, rows, correlation
            )
        undefined = (reason == "") & np.isnan(values[:, column])
        reason[undefined] = _UNDEFINED
        reasons[:, column] = reason
    notes = tuple("" if known else SQUARE_PIXELS for known in landmarks.has_spacing)
    return MeasuredCohort(
        landmarks.images, schema, values, errors, sources, reasons, notes, landmarks.spacing_sources
    )


SQUARE_PIXELS = "spacing unknown, pixels taken as square"
_UNDEFINED = "undefined here (points coincide, lines are parallel or a denominator is too small)"
_NOT_A_LANDMARK = "is not among the landmarks"


def construction_points(
    construction: Construction, names: Sequence[str], positions: Array
) -> tuple[Array, Array] | None:
    """Ends of a construction in one image, to draw it: a point twice, or a line as far as its landmarks reach.

    Parameters
    ----------
    construction : Construction
    names : sequence of str
    positions : (m, ndim) array
        Positions of the names along the image's axes, NaN without one.

    Returns
    -------
    tuple of two (ndim,) arrays, or None
        None where a landmark is missing, or it is undefined.
    """
    expression = construction.expression
    needed = landmark_names(expression)
    if any(name not in names for name in needed):
        return None
    own = positions[[list(names).index(name) for name in needed]]
    if np.isnan(own).any():
        return None
    evaluator = _Evaluator(dict(zip(needed, own[:, None], strict=True)))
    if expression.sort is Sort.POINT:
        point = evaluator.point(expression)[0]
        return None if np.isnan(point).any() else (point, point)
    lines = evaluator.line(expression)
    start, direction = lines.point[0], lines.direction[0]
    if np.isnan(direction).any():
        return None
    along = (own - start) @ direction
    low, high = float(along.min(initial=0.0)), float(along.max(initial=0.0))
    return start + low * direction, start + high * direction


def _sides(
    schema: MeasurementSchema, landmarks: CohortLandmarks
) -> tuple[NDArray[np.bool_], NDArray[np.object_]]:
    """Images that look to the left as displayed, and the reason where the side is not known."""
    count = len(landmarks)
    none = np.zeros(count, bool), np.full(count, "", dtype=object)
    if schema.facing is None or landmarks.ndim != 2:
        return none
    back, front = schema.facing
    problem = np.full(count, "", dtype=object)
    for name in schema.facing:
        if name not in landmarks.names:
            problem[:] = f"the side is told by {name}, which {_NOT_A_LANDMARK}"
            return none[0], problem
    columns = [landmarks.names.index(name) for name in (back, front)]
    vectors = landmarks.positions[:, columns[1]] - landmarks.positions[:, columns[0]]
    for name, column in zip((back, front), columns, strict=True):
        absent = np.isnan(landmarks.positions[:, column]).any(axis=1) & (problem == "")
        problem[absent] = f"the side is told by {name}, which has no position"
    with np.errstate(invalid="ignore"):
        steep = ~(np.abs(vectors[:, 1]) >= _UPRIGHT * np.linalg.norm(vectors, axis=1)) | (vectors[:, 1] == 0)
        problem[steep & (problem == "")] = (
            f"the side cannot be told: {front} is neither left nor right of {back}"
        )
        return vectors[:, 1] < 0, problem


def _reasons(
    measurement: Measurement, landmarks: CohortLandmarks, side_problem: NDArray[np.object_]
) -> NDArray[np.object_]:
    """Reason of each image that a measurement is left out; empty where it can be computed."""
    reason = np.full(len(landmarks), "", dtype=object)
    planar = measurement.planar
    if planar and landmarks.ndim == 3:
        reason[:] = f"{planar} is defined in pictures only"
        return reason
    for name in measurement.landmarks:
        if name not in landmarks.names:
            reason[:] = f"needs {name}, which {_NOT_A_LANDMARK}"
            return reason
    columns = [landmarks.names.index(name) for name in measurement.landmarks]
    present = np.logical_and.reduce(np.isfinite(landmarks.positions[:, columns]), axis=2)
    for row in np.flatnonzero(~present.all(axis=1)):
        reason[row] = f"needs {', '.join(np.array(measurement.landmarks)[~present[row]])}"
    if landmarks.ndim == 3:
        reason[(reason == "") & ~landmarks.has_spacing] = "needs the spacing: voxels are rarely cubes"
    elif measurement.needs_spacing:
        reason[(reason == "") & ~landmarks.has_spacing] = "needs the spacing, which is unknown"
    if measurement.needs_side:
        reason = np.where(reason == "", side_problem, reason)
    return reason


def _measure(
    measurement: Measurement,
    landmarks: CohortLandmarks,
    positions: Array,
    roots: Array,
    rows: NDArray[np.int64],
    correlation: NDArray[np.float64] | None,
) -> tuple[Array, Array, NDArray[np.uint8]]:
    """Values, standard errors and their sources of a measurement in some images."""
    names = measurement.landmarks
    columns = np.array([landmarks.names.index(name) for name in names])
    points = positions[rows[:, None], columns]  # (n, m, ndim)
    count, ndim = len(columns), points.shape[2]
    factor = 100.0 if measurement.percent else 1.0
    sigma = landmarks.sigma[rows[:, None], columns]
    if np.isnan(sigma).all():
        evaluator = _Evaluator({name: points[None, :, number] for number, name in enumerate(names)})
        values = factor * evaluator.quantity(measurement.expression)[0]
        unknown = np.full(len(rows), _CODES[ErrorSource.UNKNOWN], np.uint8)
        return values, np.full(len(rows), np.nan), unknown
    spread = np.linalg.norm(points - points.mean(axis=1, keepdims=True), axis=2).mean(axis=1)
    step = _STEP * np.where(spread > 0, spread, 1.0)
    # The images themselves, then every coordinate a step up and a step down, all in one evaluation.
    shifts = np.zeros((1 + 2 * count * ndim, count, ndim))
    for number in range(count * ndim):
        shifts[1 + 2 * number, number // ndim, number % ndim] = 1.0
        shifts[2 + 2 * number, number // ndim, number % ndim] = -1.0
    moved = points[None] + shifts[:, None] * step[None, :, None, None]
    evaluator = _Evaluator({name: moved[..., number, :] for number, name in enumerate(names)})
    results = factor * evaluator.quantity(measurement.expression)
    values = results[0]
    manual = landmarks.is_manual[rows[:, None], columns]
    exact = manual & np.isnan(sigma)
    used = np.where(exact[..., None, None], 0.0, roots[rows[:, None], columns])
    own = None if correlation is None else np.asarray(correlation, dtype=np.float64)[np.ix_(columns, columns)]

    def variance_of(results: Array) -> Array:
        differences = results[1::2] - results[2::2]
        jacobian = (differences / (2 * step)).T.reshape(len(rows), count, ndim)
        scaled = np.einsum("nmij,nmj->nmi", used, jacobian)
        if own is None:
            return np.sum(scaled**2, axis=(1, 2))
        return np.maximum(np.einsum("nia,ij,nja->n", scaled, own, scaled), 0.0)

    variance = variance_of(results)
    if (across := evaluator.across(measurement.expression)) is not None:
        # The value jumps between plus and minus where one point passes the other, which no derivative tells.
        with np.errstate(invalid="ignore", divide="ignore"):
            wrong = ndtr(-np.abs(across[0]) / np.sqrt(variance_of(across)))
        variance = variance + 4 * values**2 * np.nan_to_num(wrong * (1 - wrong))
    errors = np.sqrt(variance)
    sources = np.full(len(rows), _CODES[ErrorSource.ALL], np.uint8)
    sources[exact.any(axis=1)] = _CODES[ErrorSource.PREDICTIONS]
    unknown = exact.all(axis=1) | np.isnan(errors)
    sources[unknown] = _CODES[ErrorSource.UNKNOWN]
    errors[unknown] = np.nan
    return values, errors, sources


class _Evaluator:
    """Value of expressions for arrays of positions by landmark; what a name stands for is computed once.

    Parameters
    ----------
    positions : dict of str to (k, ..., ndim) array
        The first of the k positions is the landmark's own, the others are steps from it: signs are those of the first.
    """

    def __init__(self, positions: dict[str, Array]) -> None:
        self._positions = positions
        self._points: dict[str, Array] = {}
        self._lines: dict[str, Lines] = {}

    def point(self, one: Expression) -> Array:
        if one.kind is Kind.LANDMARK:
            return self._positions[one.name]
        if one.kind is Kind.CONSTRUCTION:
            if one.name not in self._points:
                self._points[one.name] = self.point(one.operands[0])
            return self._points[one.name]
        if one.kind is Kind.MIDPOINT:
            return (self.point(one.operands[0]) + self.point(one.operands[1])) / 2
        if one.kind is Kind.CIRCLE_CENTRE:
            return circle_centre([self.point(operand) for operand in one.operands])
        if one.kind is Kind.PROJECTION:
            return projection(self.point(one.operands[0]), self.line(one.operands[1]))
        return intersection(self.line(one.operands[0]), self.line(one.operands[1]))

    def line(self, one: Expression) -> Lines:
        if one.kind is Kind.CONSTRUCTION:
            if one.name not in self._lines:
                self._lines[one.name] = self.line(one.operands[0])
            return self._lines[one.name]
        if one.kind is Kind.LINE:
            return line_through(self.point(one.operands[0]), self.point(one.operands[1]))
        return perpendicular(self.point(one.operands[0]), self.line(one.operands[1]))

    def quantity(self, one: Expression) -> Array:
        return _QUANTITIES[one.kind](self, one)

    def angle(self, one: Expression) -> Array:
        if len(one.operands) == 3:
            first, vertex, second = map(self.point, one.operands)
            return angle_between(
                line_through(vertex, first).direction, line_through(vertex, second).direction
            )
        return self._angle_of_lines(one.operands[0], one.operands[1], one.angles)

    def _angle_of_lines(self, first: Expression, second: Expression, angles: AngleRange) -> Array:
        one, other = self.line(first).direction, self.line(second).direction
        if angles is AngleRange.SIGNED:
            signed = signed_angle(one, other)
            # Steps lead over 180 degrees rather than to -180.
            return signed[:1] + (signed - signed[:1] + 180.0) % 360.0 - 180.0
        angle = angle_between(one, other)
        return np.minimum(angle, 180.0 - angle) if angles is AngleRange.ACUTE else angle

    def distance(self, one: Expression) -> Array:
        return self._distance(one.operands[0], one.operands[1])

    def _distance(self, first: Expression, second: Expression) -> Array:
        if second.sort is Sort.LINE:
            return distance_to_line(self.point(first), self.line(second))
        return np.linalg.norm(self.point(first) - self.point(second), axis=-1)

    def signed_distance(self, one: Expression) -> Array:
        first, second = one.operands
        if second.sort is Sort.LINE:
            return signed_distance_to_line(self.point(first), self.line(second))
        vector = self.point(second) - self.point(first)
        return np.linalg.norm(vector, axis=-1) * np.where(vector[:1, ..., 1] > 0, 1.0, -1.0)

    def across(self, one: Expression) -> Array | None:
        """Difference of columns that the sign of a signed distance of two points is that of; None for all others."""
        if one.kind is not Kind.SIGNED_DISTANCE or one.operands[1].sort is Sort.LINE:
            return None
        first, second = map(self.point, one.operands)
        return second[..., 1] - first[..., 1]

    def ratio(self, one: Expression) -> Array:
        above, below = self.quantity(one.operands[0]), self.quantity(one.operands[1])
        least = one.denominator_above
        valid = below != 0 if least is None else below > least
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(valid, above / below, np.nan)

    def combination(self, one: Expression) -> Array:
        weights = one.weights or (1.0,) * len(one.operands)
        parts = [weight * self.quantity(part) for weight, part in zip(weights, one.operands, strict=True)]
        return np.sum(parts, axis=0) + one.constant

    def maximum(self, one: Expression) -> Array:
        return np.max([self.quantity(operand) for operand in one.operands], axis=0)

    def maximum_over_pairs(self, one: Expression) -> Array:
        if one.operands[0].sort is Sort.LINE:
            pairs = (self._angle_of_lines(first, second, one.angles) for first, second in one.pairs())
        else:
            pairs = (self._distance(first, second) for first, second in one.pairs())
        return np.max(list(pairs), axis=0)

    def named(self, one: Expression) -> Array:
        return self.quantity(one.operands[0])


_QUANTITIES: dict[Kind, Callable[[_Evaluator, Expression], Array]] = {
    Kind.ANGLE: _Evaluator.angle,
    Kind.DISTANCE: _Evaluator.distance,
    Kind.SIGNED_DISTANCE: _Evaluator.signed_distance,
    Kind.RATIO: _Evaluator.ratio,
    Kind.SUM: _Evaluator.combination,
    Kind.COMBINATION: _Evaluator.combination,
    Kind.MAXIMUM: _Evaluator.maximum,
    Kind.MAXIMUM_OVER_PAIRS: _Evaluator.maximum_over_pairs,
    Kind.MEASUREMENT: _Evaluator.named,
}
