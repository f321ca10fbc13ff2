"""Metrics: radial errors and detection rates of predicted landmarks, overlap of label maps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.error_covariance import region_radius
from napari_landmark.data.errors import InputError, UnknownSpacingError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.local_structure import CertainDirections
from napari_landmark.data.landmarks import LandmarkSet

_REGION = 0.9  # share of the truth that a region shall hold


@dataclass(frozen=True)
class LandmarkEvaluation:
    """Errors of one landmark over all images.

    Attributes
    ----------
    mre_mm, mre_px : float or None
        Mean radial error; None without spacing, or where the landmark was never predicted.
    sdr : dict of str to float
        Percentage within each radius.
    n : int
        Images with a true position.
    n_missing : int
        Images among them without a prediction.
    across, along : float or None
        Mean error in the most certain direction of the template, and at right angles to it, in the unit of
        `Evaluation`; None where no directions were given or the template has none here.
    stated : float or None
        Mean expected error of the predictions that are compared, in the same unit.
    coverage : float or None
        Percentage of the true positions in the 90% region of their prediction, of those that state a covariance.
    """

    mre_mm: float | None
    mre_px: float | None
    sdr: dict[str, float]
    n: int
    n_missing: int
    across: float | None = None
    along: float | None = None
    stated: float | None = None
    coverage: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """Errors over all landmarks of all images.

    Attributes
    ----------
    mre_mm, mre_px, median_px : float or None
        Mean and median radial error; those in mm only where every image has a known spacing.
    median_mm : float or None
        As above.
    sdr : dict of str to float
        Successful detection rate: percentage of the true landmarks with a prediction within each radius,
        in mm where the spacing is known, else in pixels. A position without a prediction is outside every radius.
    per_landmark : dict of str to LandmarkEvaluation
        In the order of the truth.
    n_images : int
        Images with at least one true landmark.
    n_landmarks : int
        Landmarks (names) with at least one true position.
    n_missing : int
        True positions without a prediction.
    images_without_prediction : tuple of str
        Images of the truth without any prediction.
    images_without_truth : tuple of str
        Predicted images that are not in the truth.
    unit : str
        Unit of the radii of `sdr`, 'mm' or 'px'.
    across, along, stated, coverage : float or None
        As in `LandmarkEvaluation`, over all landmarks.
    """

    mre_mm: float | None
    mre_px: float | None
    median_px: float | None
    median_mm: float | None
    sdr: dict[str, float]
    per_landmark: dict[str, LandmarkEvaluation]
    n_images: int
    n_landmarks: int
    n_missing: int
    images_without_prediction: tuple[str, ...]
    images_without_truth: tuple[str, ...]
    unit: str
    across: float | None = None
    along: float | None = None
    stated: float | None = None
    coverage: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The object that ``napari-landmark evaluate --json`` prints."""
        return {
            "mre_mm": self.mre_mm,
            "mre_px": self.mre_px,
            "median_px": self.median_px,
            "sdr": dict(self.sdr),
            **_known(self),
            "per_landmark": {
                name: {
                    "mre_mm": row.mre_mm,
                    "mre_px": row.mre_px,
                    "sdr": dict(row.sdr),
                    "n": row.n,
                    **_known(row),
                }
                for name, row in self.per_landmark.items()
            },
            "n_images": self.n_images,
            "n_landmarks": self.n_landmarks,
            "n_missing": self.n_missing,
        }


@dataclass
class _Errors:
    """Errors of one landmark: one value for each image with a true position, NaN without a prediction.

    `across`, `along` and `stated` are pairs of a length in pixels and in millimetres; `inside` is whether the true
    position is in the 90% region, NaN where none is stated.
    """

    pixels: list[float] = field(default_factory=list)
    millimetres: list[float] = field(default_factory=list)
    across: list[tuple[float, float]] = field(default_factory=list)
    along: list[tuple[float, float]] = field(default_factory=list)
    stated: list[tuple[float, float]] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)

    @classmethod
    def joined(cls, parts: Iterable[_Errors]) -> _Errors:
        whole = cls()
        for part in parts:
            for own in fields(cls):
                getattr(whole, own.name).extend(getattr(part, own.name))
        return whole


def evaluate(
    predicted: Mapping[str, LandmarkSet],
    truth: Mapping[str, LandmarkSet],
    *,
    geometries: Mapping[str, Geometry] | None = None,
    spacing: float | Sequence[float] | None = None,
    radii: Sequence[float] = (2, 2.5, 3, 4),
    directions: CertainDirections | None = None,
) -> Evaluation:
    """Compare predictions with the truth, images and landmarks matched by name.

    Parameters
    ----------
    predicted, truth : mapping of str to LandmarkSet
        Landmarks by name of the image. Landmarks without a true position (missing, unplaced) are not evaluated.
    geometries : mapping of str to Geometry, optional
        Geometries by name of the image; each image is measured with its own spacing.
    spacing : float or sequence of float, optional
        Millimetres per pixel of all images (array axis order), used instead of the geometries.
    radii : sequence of float, optional
        Radii of the successful detection rate.
    directions : CertainDirections, optional
        Of a template; errors are then also told across them and along, in each image as its true landmarks are
        rotated.

    Raises
    ------
    InputError
        The truth has no position, or no image or landmark is in both.
    """
    keys = _radius_keys(radii)
    true_images = {name: marks for name, marks in truth.items() if marks.ndim is not None}
    if not true_images:
        raise InputError("the truth holds no landmark with a position: there is nothing to compare with")
    common = [name for name in true_images if name in predicted]
    if not common:
        raise InputError(
            f"no image is both predicted and in the truth: the names must be the same (predicted e.g. "
            f"{next(iter(predicted), 'nothing')!r}, in the truth e.g. {next(iter(true_images))!r})"
        )
    errors: dict[str, _Errors] = {}
    for image, marks in true_images.items():
        geometry = _geometry_of(image, marks.ndim or 2, geometries or {}, spacing)
        _collect(errors, image, predicted.get(image), marks, geometry, directions)
    if not any(name in predicted[image] for image in common for name in errors):
        raise InputError(
            "no landmark is both predicted and in the truth: the names must be the same (predicted e.g. "
            f"{next(iter(predicted[common[0]]))!r}, in the truth e.g. {next(iter(errors))!r})"
        )
    everything = _Errors.joined(errors.values())
    # Millimetres are reported only if all images have a spacing: a part would be taken for all.
    known = not any(math.isinf(value) for value in everything.millimetres)
    total = _summary(everything, known, radii, keys)
    return Evaluation(
        mre_mm=total.mre_mm,
        mre_px=total.mre_px,
        median_px=_or_none(np.nanmedian, everything.pixels),
        median_mm=_or_none(np.nanmedian, everything.millimetres) if known else None,
        sdr=total.sdr,
        per_landmark={name: _summary(row, known, radii, keys) for name, row in errors.items()},
        n_images=len(true_images),
        n_landmarks=len(errors),
        n_missing=total.n_missing,
        images_without_prediction=tuple(
            name for name in true_images if name not in predicted or predicted[name].ndim is None
        ),
        images_without_truth=tuple(name for name in predicted if name not in true_images),
        unit="mm" if known else "px",
        across=total.across,
        along=total.along,
        stated=total.stated,
        coverage=total.coverage,
    )


def radial_errors(predicted: LandmarkSet, truth: LandmarkSet, *, geometry: Geometry) -> dict[str, float]:
    """Distance in mm of every landmark that has a position in both sets, by name.

    Raises
    ------
    UnknownSpacingError
        The geometry has no spacing.
    """
    if not geometry.has_spacing:
        raise UnknownSpacingError("the distance between pixels, in mm per pixel, is not known")
    return {
        name: float(np.linalg.norm(np.subtract(*geometry.to_world([found, mark.position]))))
        for name, mark in truth.items()
        if mark.position is not None and (found := _position(predicted, name)) is not None
    }


def dice(a: NDArray[np.integer], b: NDArray[np.integer]) -> dict[int, float]:
    """Dice coefficient of every label of two label maps, 0 to 1.

    Parameters
    ----------
    a, b : arrays of int, of one shape
        0 is the background and does not count.

    Returns
    -------
    dict of int to float
        Dice coefficient by label, in ascending order.

    Examples
    --------
    >>> dice(np.array([[1, 1, 0, 2]]), np.array([[1, 0, 0, 3]]))
    {1: 0.6666666666666666, 2: 0.0, 3: 0.0}
    """
    if a.shape != b.shape:
        raise ValueError(f"label maps of shape {a.shape} and {b.shape}")
    sizes: dict[int, int] = {}
    for labels in (a, b):
        for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
            sizes[int(label)] = sizes.get(int(label), 0) + int(count)
    common = dict.fromkeys(sizes, 0)
    for label, count in zip(*np.unique(a[a == b], return_counts=True), strict=True):
        common[int(label)] = int(count)
    return {label: 2 * common[label] / sizes[label] for label in sorted(sizes) if label != 0}


def _collect(
    errors: dict[str, _Errors],
    image: str,
    predicted: LandmarkSet | None,
    truth: LandmarkSet,
    geometry: Geometry | None,
    directions: CertainDirections | None,
) -> None:
    """Add the errors of one image; millimetres are infinite where its spacing is unknown."""
    spacing = None if geometry is None else geometry.spacing
    certain = {} if directions is None else _directions_in(directions, truth, spacing)
    for name, mark in truth.items():
        if mark.position is None:
            continue
        row = errors.setdefault(name, _Errors())
        found = _position(predicted, name)
        if found is None:
            row.pixels.append(math.nan)
            row.millimetres.append(math.nan)
            continue
        if len(found) != len(mark.position):
            raise InputError(
                f"{image}: landmark {name!r} has {len(found)} coordinates in the prediction and "
                f"{len(mark.position)} in the truth"
            )
        row.pixels.append(math.dist(found, mark.position))
        if geometry is None:
            row.millimetres.append(math.inf)
        else:
            ends = geometry.to_world([found, mark.position])
            row.millimetres.append(float(np.linalg.norm(ends[0] - ends[1])))
        error = np.subtract(found, mark.position)
        factors = np.ones(len(error)) if spacing is None else np.asarray(spacing)
        if name in certain:
            pixels, scaled = (_split(error * by, certain[name]) for by in (np.ones(len(error)), factors))
            row.across.append((pixels[0], scaled[0]))
            row.along.append((pixels[1], scaled[1]))
        prediction = predicted[name] if predicted is not None else mark
        if prediction.expected_error is not None:
            mean_factor = float(np.exp(np.log(factors).mean()))
            row.stated.append((prediction.expected_error, prediction.expected_error * mean_factor))
        if prediction.covariance is not None:
            row.inside.append(float(_is_inside(error, np.array(prediction.covariance))))


def _directions_in(
    directions: CertainDirections, truth: LandmarkSet, spacing: Sequence[float] | None
) -> dict[str, NDArray[np.float64]]:
    """Most certain directions by name in an image with these landmarks."""
    ndim = directions.positions.shape[1]
    if truth.ndim != ndim:
        return {}
    nowhere = (math.nan,) * ndim
    positions = np.array([_position(truth, name) or nowhere for name in directions.names])
    carried = directions.in_image(positions * (1.0 if spacing is None else np.asarray(spacing)))
    return {
        name: direction
        for name, direction in zip(directions.names, carried, strict=True)
        if np.isfinite(direction).all()
    }


def _split(error: NDArray[np.float64], direction: NDArray[np.float64]) -> tuple[float, float]:
    """Lengths of an error along a unit vector and at right angles to it."""
    own = float(error @ direction)
    return abs(own), float(np.linalg.norm(error - own * direction))


def _is_inside(error: NDArray[np.float64], covariance: NDArray[np.float64]) -> bool:
    """Whether an error is in the 90% region of its covariance."""
    try:
        squared = float(error @ np.linalg.solve(covariance, error))
    except np.linalg.LinAlgError:  # certain to any precision in some direction
        return False
    return squared <= region_radius(_REGION, len(error)) ** 2


def _position(landmarks: LandmarkSet | None, name: str) -> tuple[float, ...] | None:
    mark = None if landmarks is None else landmarks.get(name)
    return None if mark is None else mark.position


def _geometry_of(
    image: str, ndim: int, geometries: Mapping[str, Geometry], spacing: float | Sequence[float] | None
) -> Geometry | None:
    """Geometry for distances in millimetres, None where the spacing is unknown."""
    try:
        if spacing is not None:
            return Geometry((1,) * ndim).with_spacing(spacing)
    except InputError as error:
        raise error.prefixed(image) from error
    geometry = geometries.get(image)
    if geometry is None or not geometry.has_spacing:
        return None
    if geometry.ndim != ndim:
        raise InputError(f"{image}: landmarks of {ndim} coordinates for an image of {geometry.ndim} axes")
    return geometry


def _summary(errors: _Errors, known: bool, radii: Sequence[float], keys: Sequence[str]) -> LandmarkEvaluation:
    distances = np.array(errors.millimetres if known else errors.pixels)
    # NaN, without a prediction, is within no radius; the small number absorbs rounding errors.
    sdr = {
        key: float(100 * np.mean(distances <= radius + 1e-9)) for key, radius in zip(keys, radii, strict=True)
    }
    return LandmarkEvaluation(
        mre_mm=_or_none(np.nanmean, errors.millimetres) if known else None,
        mre_px=_or_none(np.nanmean, errors.pixels),
        sdr=sdr,
        n=len(errors.pixels),
        n_missing=int(np.isnan(errors.pixels).sum()),
        across=_mean_length(errors.across, known),
        along=_mean_length(errors.along, known),
        stated=_mean_length(errors.stated, known),
        coverage=float(100 * np.mean(errors.inside)) if errors.inside else None,
    )


def _mean_length(pairs: Sequence[tuple[float, float]], known: bool) -> float | None:
    """Mean of lengths in pixels, or in millimetres where they are known; None without any."""
    return float(np.mean([pair[known] for pair in pairs])) if pairs else None


def _known(row: LandmarkEvaluation | Evaluation) -> dict[str, float]:
    """Values that an evaluation has only where predictions or caller state what they need."""
    values = {name: getattr(row, name) for name in ("across", "along", "stated", "coverage")}
    return {name: value for name, value in values.items() if value is not None}


def _or_none(function: Any, values: Sequence[float]) -> float | None:
    """Mean or median of the values that are not NaN, None without any."""
    return None if np.isnan(values).all() else float(function(values))


def _radius_keys(radii: Sequence[float]) -> list[str]:
    if not radii:
        raise InputError("no radii: give at least one")
    for radius in radii:
        if not (math.isfinite(radius) and radius > 0):
            raise InputError(f"a radius of {radius}: expected a positive number")
    return [f"{radius:g}" for radius in radii]
