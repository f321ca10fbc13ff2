"""Stated errors of predictions: expected error and covariance at the level that a cohort itself shows.

Signs of a single prediction (`uncertainty`) tell which of several predictions is the better one. How far off
predictions are in all is another question, to which every anatomy has its own answer; it is measured by transfers
between the images of the training (`training.transfer_errors`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_landmark.data.error_covariance import with_mean_radial_error
from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status

_DECIMALS = 5


@dataclass(frozen=True, eq=False)
class StatedErrors:
    """Level, and extent by direction, of the errors of each landmark in a cohort.

    Parameters
    ----------
    factors : (n,) array
        Stated error over the expected error that the signs of a prediction tell; NaN where nothing was measured.
    covariances : (n, d, d) array
        Of the error on the working grid in the template's pose, in squared pixels; NaN as above.
    shares : (n,) array, optional
        Part of each covariance with which predictions are kriged: without the clicks of persons, which are no errors
        of the found positions. None for models of earlier versions, which predict what they did.
    """

    factors: NDArray[np.float64]
    covariances: NDArray[np.float64]
    shares: NDArray[np.float64] | None = None

    def state(self, marks: LandmarkSet, matrix: NDArray[np.float64], rows: ArrayLike) -> LandmarkSet:
        """Predictions with stated errors instead of expected ones, and with covariances.

        Parameters
        ----------
        marks : LandmarkSet
            In native index coordinates.
        matrix : (d, d) array
            Of the transform from the working grid to the native image.
        rows : (n,) array_like of int
            Landmark of the template that each of these is in the image as it was drawn: another one in mirror images.
        """
        own = np.asarray(rows, dtype=int)
        carried = matrix @ self.covariances[own] @ matrix.T
        errors = marks.expected_errors() * self.factors[own]
        stated = with_mean_radial_error(carried, errors)
        return LandmarkSet(
            marks.schema,
            (
                _stated(mark, float(error), covariance)
                for mark, error, covariance in zip(marks.values(), errors, stated, strict=True)
            ),
            image_state=marks.image_state,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values, null where unknown."""
        unknown = np.isnan(self.factors)
        factors, covariances = (
            self.factors.round(_DECIMALS).tolist(),
            self.covariances.round(_DECIMALS).tolist(),
        )
        return {
            "factors": [None if absent else value for absent, value in zip(unknown, factors, strict=True)],
            "covariances": [
                None if absent else rows for absent, rows in zip(unknown, covariances, strict=True)
            ],
            **({} if self.shares is None else {"shares": _nullable(self.shares)}),
        }

    @classmethod
    def from_json(cls, values: Any, count: int, ndim: int) -> StatedErrors:
        """From the values of `to_json`; TypeError, LookupError or ValueError for anything else."""
        nothing = np.full((ndim, ndim), np.nan).tolist()
        factors = np.array([np.nan if value is None else float(value) for value in values["factors"]])
        covariances = np.array(
            [nothing if rows is None else rows for rows in values["covariances"]], dtype=float
        )
        if factors.shape != (count,) or covariances.shape != (count, ndim, ndim):
            raise ValueError(f"stated errors {values!r:.40}")
        known = ~np.isnan(factors)
        matrices = covariances[known]
        if not (np.isfinite(factors[known]).all() and (factors[known] > 0).all()):
            raise ValueError(f"stated errors {values!r:.40}")
        if not np.isfinite(matrices).all() or (np.linalg.eigvalsh(matrices) <= 0).any():
            raise ValueError(f"stated errors {values!r:.40}")
        shares = None
        if "shares" in values:
            shares = np.array([np.nan if value is None else float(value) for value in values["shares"]])
            told = shares[~np.isnan(shares)]
            if shares.shape != (count,) or not ((told > 0) & (told <= 1)).all():
                raise ValueError(f"stated errors {values!r:.40}")
        return cls(factors, covariances, shares)


def _stated(mark: Landmark, error: float, covariance: NDArray[np.float64]) -> Landmark:
    if mark.status is not Status.PREDICTED or not np.isfinite(error):
        return mark
    symmetric = (covariance + covariance.T) / 2
    return replace(mark, expected_error=error, covariance=tuple(map(tuple, symmetric.tolist())))


def _nullable(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.round(_DECIMALS).tolist()]
