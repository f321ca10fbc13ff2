"""How far a found landmark may be off, from signs that need no truth.

The powers are a fit (gamma regression with a logarithmic link) to the radial errors in 74 cephalograms (canvas of 768
pixels) that were learned from one template; they include what one person's annotation differs from another's. About 90%
of the true errors lie within twice the expected error.
"""

from __future__ import annotations

import math

import numpy as np

_FITTED_SIDE = 768.0
_USUAL_SUPPORT, _LEAST_SUPPORT = 0.5, 0.1
_UNTOLD = 4.9  # canvas pixels of `_FITTED_SIDE` that a heatmap as narrow as it was taught leaves
_LARGEST_SIGN = 0.15  # of the longest side: further away, all that matters is that it is wrong


def detector_error(*, spread: np.ndarray, sigma: float, canvas: tuple[int, ...]) -> np.ndarray:
    """Expected radial error of detected landmarks in canvas pixels.

    Parameters
    ----------
    spread : (n,)
        Mean distance of the heatmap's mass from the position, in canvas pixels.
    sigma : float
        Of the heatmaps that the detector was taught: no answer is narrower.
    canvas : tuple of int
        Sets the scale of what no sign tells.
    """
    dims = len(canvas)
    # Mean distance of a Gaussian's mass from its centre.
    narrowest = sigma * math.sqrt(2) * math.gamma((dims + 1) / 2) / math.gamma(dims / 2)
    width = np.clip(spread / narrowest, 0.5, 4.0)
    return _UNTOLD * max(canvas) / _FITTED_SIDE * width**1.8


def refinement_error(error: np.ndarray, *, support: np.ndarray, typical: np.ndarray | None) -> np.ndarray:
    """Expected radial error once the landmarks of an image were looked at closely, in canvas pixels.

    Where little of the surroundings looks alike and leads back, the structure is another or not the same. That counts
    for the landmark, for the landmark in the whole cohort (some can hardly be told from their surroundings), and for
    the image.

    Parameters
    ----------
    error : (n,)
        Expected before.
    support : (n,)
        Of the close look, 0..1; NaN where no template shows the landmark.
    typical : (n,) or None
        Mean of it in the images learned from.
    """
    typical = support if typical is None else typical
    return error * _part(support, 0.34) * _part(typical, 0.7) * _part(np.nanmean(support), 0.18)


def _part(support: np.ndarray, power: float) -> np.ndarray:
    """1 at the support that is usual on the cephalograms, more below."""
    return ((_USUAL_SUPPORT + _LEAST_SUPPORT) / (support + _LEAST_SUPPORT)) ** power


def match_error(*, similarity: np.ndarray, cycle: np.ndarray, canvas: tuple[int, ...]) -> np.ndarray:
    """Expected radial error of landmarks matched by the embedding alone, in canvas pixels.

    Parameters
    ----------
    similarity : (n,)
        Product of the levels' cosines at the match.
    cycle : (n,)
        Distance between the template's landmark and the reverse match, in canvas pixels.
    """
    scale = max(canvas) / _FITTED_SIDE
    unlike = 19.0 * scale * np.clip(1 - similarity, 0, 1)
    return unlike + 0.3 * np.minimum(cycle, _LARGEST_SIGN * max(canvas))
