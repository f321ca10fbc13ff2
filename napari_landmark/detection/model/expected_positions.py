"""Expected positions of all landmarks of an image, told by those that are found surely."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_landmark.detection.pose.similarity import fit_similarity

# Expected error over the usual one up to which a landmark is sure: all of 126 landmarks in halves of cephalograms with
# less were inside and right, none of 304 in images of other things had less than 2.6.
_SURE = 2.0
_AGREES = 0.15  # distance from the fitted template, in root mean square radii of the template
# Landmarks that must agree: a similarity fits two of them exactly. Part of all, and of the sure ones.
_FEWEST, _SMALLEST_PART, _SMALLEST_AGREEMENT = 3, 0.1, 0.6
# An image is drawn in its pose: what remains is the shape of the subject.
_LARGEST_ANGLE, _LARGEST_SCALE = 30.0, 1.5


def expected_positions(
    template: NDArray[np.float64],
    found: NDArray[np.float64],
    ratios: NDArray[np.float64],
    canvas: tuple[int, ...],
) -> NDArray[np.float64] | None:
    """Positions (n, d) of the template's landmarks, mapped onto the sure ones by a similarity; NaN where it has none.

    They may lie outside of the image: it does not show the landmark then.

    Parameters
    ----------
    template, found : (n, d) arrays
        On one working grid, in the same order; NaN where unknown.
    ratios : (n,) array
        Expected error over the usual one of each found landmark; NaN where unknown.
    canvas : tuple of int
        Shape of the working grid.

    Returns
    -------
    array or None
        None where too few landmarks are sure, or where they do not have the shape of the template's: an image of
        something else.
    """
    known = ~np.isnan(template + found).any(1) & ~np.isnan(ratios)
    sure = known & (np.nan_to_num(ratios, nan=np.inf) < _SURE)
    fewest = max(_FEWEST, math.ceil(_SMALLEST_PART * int(known.sum())))
    if sure.sum() < fewest:
        return None
    inner = fit_similarity(template, np.where(sure[:, None], found, np.nan), canvas)
    if inner is None or abs(inner.angle) > _LARGEST_ANGLE:
        return None
    if not 1 / _LARGEST_SCALE < inner.scale < _LARGEST_SCALE:
        return None
    centre = (np.asarray(canvas) - 1) / 2
    mapped: NDArray[np.float64] = (template - centre) @ inner.matrix.T + centre + inner.shift * max(canvas)
    shown = template[known]
    size = math.sqrt(float(((shown - shown.mean(0)) ** 2).sum(1).mean())) * inner.scale
    agrees = np.linalg.norm(mapped - found, axis=1)[sure] < _AGREES * size
    return mapped if agrees.sum() >= max(fewest, _SMALLEST_AGREEMENT * len(agrees)) else None
