"""Expected radial error of predicted landmarks, from signs that need no ground truth.

The exponents are a fit (gamma regression with a logarithmic link) to the radial errors in 74 cephalograms (working grid
of 768 pixels) after a training with one template; they include the difference between two annotators. About 90% of the
true errors are below twice the expected error.
"""

from __future__ import annotations

import math

import numpy as np

_FITTED_SIDE = 768.0  # longest side of the working grid of the fit, in pixels
_USUAL_CONSENSUS, _CONSENSUS_OFFSET = 0.5, 0.1
# Pixels of `_FITTED_SIDE` that remain with a heatmap as narrow as those of the training.
_LEAST_ERROR = 4.9
# Of the refinement on native pixels: what is usual, share of the error that remains at it, and the power of less.
_USUAL_NATIVE_CONSENSUS, _NATIVE_SHARE, _NATIVE_POWER = 0.65, 0.89, 0.2
_LEAST_SPREAD = 0.1  # cells
_LARGEST_CYCLE = 0.15  # of the longest side: beyond it a match is wrong, however far the reverse match is


def detector_error(*, spread: np.ndarray, sigma: float, canvas: tuple[int, ...]) -> np.ndarray:
    """Expected radial error of detected landmarks in pixels of the working grid.

    Parameters
    ----------
    spread : (n,) float array
        Mean distance of the heatmap's mass from the position, in pixels of the working grid.
    sigma : float
        Standard deviation of the heatmaps that the detector was trained with, in pixels of the working grid.
    canvas : tuple of int
        Shape of the working grid; the error grows with its longest side.
    """
    dims = len(canvas)
    # Mean distance of a Gaussian's mass from its centre: no heatmap is narrower.
    narrowest = sigma * math.sqrt(2) * math.gamma((dims + 1) / 2) / math.gamma(dims / 2)
    width = np.clip(spread / narrowest, 0.5, 4.0)
    return _LEAST_ERROR * max(canvas) / _FITTED_SIDE * width**1.8


def refinement_error(error: np.ndarray, *, consensus: np.ndarray, typical: np.ndarray | None) -> np.ndarray:
    """Expected radial error after local refinement, in pixels of the working grid.

    Low consensus means another structure than the template's. It counts for the landmark, for the landmark in the whole
    cohort (some can hardly be told from their surroundings), and for the image.

    Parameters
    ----------
    error : (n,) float array
        Expected error before refinement.
    consensus : (n,) float array
        0..1, of the local refinement; NaN where no template shows the landmark.
    typical : (n,) float array or None
        Mean consensus of each landmark over the training images.
    """
    typical = consensus if typical is None else typical
    image = np.nanmean(consensus, keepdims=True)
    return error * _factor(consensus, 0.34) * _factor(typical, 0.7) * _factor(image, 0.18)


def native_error(error: np.ndarray, *, consensus: np.ndarray) -> np.ndarray:
    """Expected radial error after the refinement on native pixels, in the unit of `error`.

    Fitted as the other powers, to every second one of 117 cephalograms on a working grid of 256 pixels.

    Parameters
    ----------
    error : (n,) float array
        Expected error after the refinement on the working grid.
    consensus : (n,) float array
        0..1, of the refinement on native pixels; NaN where no template shows the landmark.
    """
    usual = _USUAL_NATIVE_CONSENSUS + _CONSENSUS_OFFSET
    return error * _NATIVE_SHARE * (usual / (consensus + _CONSENSUS_OFFSET)) ** _NATIVE_POWER


def _factor(consensus: np.ndarray, exponent: float) -> np.ndarray:
    """1 at the consensus that is usual on the cephalograms, more below."""
    return ((_USUAL_CONSENSUS + _CONSENSUS_OFFSET) / (consensus + _CONSENSUS_OFFSET)) ** exponent


def alignment_error(spread: np.ndarray, *, typical: np.ndarray) -> np.ndarray:
    """Expected radial error of a landmark of an aligned atlas, in its cells.

    A fit as above to 14 CT heads of mice (0.141 mm) aligned with one template; it includes the difference between two
    annotations of one observer.

    Parameters
    ----------
    spread : (n,) float array
        Scatter of the matches around a landmark, in cells; NaN where the atlas lacks it.
    typical : (n,) float array
        Its mean over the training volumes.
    """
    return 1.27 * np.maximum(spread, _LEAST_SPREAD) ** 0.55 * np.maximum(typical, _LEAST_SPREAD) ** 0.62


def match_error(*, similarity: np.ndarray, cycle: np.ndarray, canvas: tuple[int, ...]) -> np.ndarray:
    """Expected radial error of landmarks matched by the embedding alone, in pixels of the working grid.

    Parameters
    ----------
    similarity : (n,) float array
        Product of the levels' cosines at the match.
    cycle : (n,) float array
        Distance between the template's landmark and the reverse match, in pixels of the working grid.
    canvas : tuple of int
        Shape of the working grid.
    """
    scale = max(canvas) / _FITTED_SIDE
    unlike = 19.0 * scale * np.clip(1 - similarity, 0, 1)
    return unlike + 0.3 * np.minimum(cycle, _LARGEST_CYCLE * max(canvas))
