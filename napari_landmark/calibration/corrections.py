"""Corrections of predictions, measured by what had been stated of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.error_covariance import region_radius

REGION = 0.9
"""Share of the true positions that a region shall hold."""


@dataclass(frozen=True, eq=False)
class Corrections:
    """Corrections of n images and m landmarks.

    Parameters
    ----------
    offsets : (n, m, d) array
        From the prediction to where a person placed the landmark; NaN where it was not corrected.
    expected_errors : (n, m) array
        That were stated, in the unit of the offsets; NaN where unknown.
    covariances : (n, m, d, d) array
        That were stated, in squared units; NaN where unknown.
    """

    offsets: NDArray[np.float64]
    expected_errors: NDArray[np.float64]
    covariances: NDArray[np.float64]

    @property
    def scores(self) -> NDArray[np.float64]:
        """(n, m) distances relative to the border of the stated 90% region; NaN where nothing was corrected."""
        known = np.isfinite(self.offsets).all(2) & np.isfinite(self.covariances).all((2, 3))
        scores = np.full(known.shape, np.nan)
        variances, axes = np.linalg.eigh(self.covariances[known])
        along = np.einsum("kij,ki->kj", axes, self.offsets[known])
        with np.errstate(divide="ignore", invalid="ignore"):
            squared = np.where(along == 0, 0.0, along**2 / variances.clip(min=0))
        scores[known] = np.sqrt(squared.sum(1)) / region_radius(REGION, self.offsets.shape[2])
        return scores

    @property
    def error_ratios(self) -> NDArray[np.float64]:
        """(n, m) distances relative to the expected error; NaN where nothing was corrected or stated."""
        lengths = np.linalg.norm(self.offsets, axis=2)
        return lengths / np.where(self.expected_errors > 0, self.expected_errors, np.nan)

    @property
    def images(self) -> NDArray[np.int64]:
        """Rows of the images with a correction."""
        known = np.isfinite(self.offsets).reshape(len(self.offsets), -1)
        return np.flatnonzero(known.any(axis=1))
