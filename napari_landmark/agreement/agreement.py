"""Agreement of readers in each landmark, and in measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from napari_landmark.agreement.differences import (
    BlandAltman,
    Ellipse,
    bland_altman,
    dahlberg_error,
    prediction_ellipse,
)
from napari_landmark.agreement.intraclass_correlation import (
    IntraclassCorrelation,
    icc_agreement,
    icc_consistency,
)
from napari_landmark.agreement.readings import Readings
from napari_landmark.data.errors import InputError

AXES = ("x", "y", "z")


@dataclass(frozen=True, eq=False)
class ValueAgreement:
    """Agreement of all readers in one value an image: a coordinate, or a measurement.

    Parameters
    ----------
    n : int
        Images that all readers have.
    dahlberg : float
        Error of a single reading, NaN without images.
    agreement, consistency : IntraclassCorrelation or None
        ICC(2,1) and ICC(3,1).
    pairs : mapping of pair of str to BlandAltman
        By the names of two readers, second less first, of the images that both have; those without any are missing.
    values : (n, r) array
        The readings of the images that all readers have.
    """

    n: int
    dahlberg: float
    agreement: IntraclassCorrelation | None
    consistency: IntraclassCorrelation | None
    pairs: Mapping[tuple[str, str], BlandAltman]
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class PairAgreement:
    """Agreement of two readers in one landmark.

    Parameters
    ----------
    n : int
        Images in which both placed it.
    bias : (d,) array
        Mean difference, second less first, in array axis order.
    mean_distance, median_distance, percentile_95 : float
        Of the distances between both.
    dahlberg : float
        Error of a single reading as a distance: sqrt(sum of squared distances / 2n).
    ellipse : Ellipse or None
        In which 95% of further differences are expected.
    differences : (n, d) array
    """

    n: int
    bias: np.ndarray
    mean_distance: float
    median_distance: float
    percentile_95: float
    dahlberg: float
    ellipse: Ellipse | None
    differences: np.ndarray


@dataclass(frozen=True, eq=False)
class LandmarkAgreement:
    """Agreement of readers in one landmark.

    Parameters
    ----------
    name : str
    n : int
        Images in which all readers placed it.
    dahlberg : float
        Error of a single reading as a distance, over all readers.
    axes : mapping of str to ValueAgreement
        Of each coordinate: 'x', 'y', in volumes 'z'.
    pairs : mapping of pair of str to PairAgreement
        By the names of two readers; those without a common image are missing.
    """

    name: str
    n: int
    dahlberg: float
    axes: Mapping[str, ValueAgreement]
    pairs: Mapping[tuple[str, str], PairAgreement]


def landmark_agreement(readings: Readings) -> dict[str, LandmarkAgreement]:
    """Agreement of all readers in each landmark, in the unit of the readings."""
    found = {}
    for k, name in enumerate(readings.names):
        positions = readings.positions[:, :, k]
        there = ~np.isnan(positions[..., 0])
        everyone = there.all(axis=0)
        pairs = {}
        for a, b in combinations(range(len(readings.readers)), 2):
            both = there[a] & there[b]
            if both.any():
                pairs[readings.readers[a], readings.readers[b]] = _pair(
                    positions[a, both], positions[b, both]
                )
        axes = {
            axis: _value_agreement(readings.readers, positions[..., -1 - number])
            for number, axis in enumerate(AXES[: positions.shape[-1]])
        }
        whole = np.swapaxes(positions[:, everyone], 0, 1)
        found[name] = LandmarkAgreement(name, int(everyone.sum()), dahlberg_error(whole), axes, pairs)
    return found


def measurement_agreement(
    values: Mapping[str, Mapping[str, Mapping[str, float | None]]],
) -> dict[str, ValueAgreement]:
    """Agreement of readers in measurements.

    Parameters
    ----------
    values : mapping of str to mapping of str to mapping of str to float or None
        ``values[measurement][reader][image]``; None or NaN, or no entry, where it was not computed.

    Returns
    -------
    dict of str to ValueAgreement
        By name of the measurement, of those that two readers have in an image.

    Raises
    ------
    InputError
        A value is infinite.
    """
    found = {}
    for name, readers in values.items():
        images = tuple(dict.fromkeys(image for read in readers.values() for image in read))
        table = np.full((len(readers), len(images)), np.nan)
        for r, read in enumerate(readers.values()):
            for n, image in enumerate(images):
                value = read.get(image)
                if value is not None and math.isinf(value):
                    raise InputError(f"{image}: {name} is infinite: leave it out")
                table[r, n] = math.nan if value is None else value
        agreement = _value_agreement(tuple(readers), table)
        if agreement.pairs:
            found[name] = agreement
    return found


def _value_agreement(readers: tuple[str, ...], values: np.ndarray) -> ValueAgreement:
    """Agreement in (r, n) values with NaN where a reader has none."""
    there = ~np.isnan(values)
    whole = values[:, there.all(axis=0)].T
    pairs = {}
    for a, b in combinations(range(len(readers)), 2):
        both = there[a] & there[b]
        if both.any():
            pairs[readers[a], readers[b]] = bland_altman(values[a, both], values[b, both])
    return ValueAgreement(
        len(whole), dahlberg_error(whole), icc_agreement(whole), icc_consistency(whole), pairs, whole
    )


def _pair(first: np.ndarray, second: np.ndarray) -> PairAgreement:
    differences = second - first
    distances = np.linalg.norm(differences, axis=1)
    return PairAgreement(
        len(differences),
        differences.mean(axis=0),
        float(distances.mean()),
        float(np.median(distances)),
        float(np.percentile(distances, 95)),
        dahlberg_error(np.stack([first, second], axis=1)),
        prediction_ellipse(differences),
        differences,
    )
