"""How far a found landmark may be off, from signs that need no truth."""

from __future__ import annotations

import numpy as np

_FLOOR = 0.003  # of the longest side: no landmark is better than the annotation it was learned from


def expected_error(
    *,
    cycle: np.ndarray,
    canvas: tuple[int, ...],
    spread: np.ndarray | None = None,
    disagreement: np.ndarray | None = None,
) -> np.ndarray:
    """Expected radial error of each landmark in canvas pixels.

    Parameters
    ----------
    cycle : (n,)
        Distance between the template's landmark and the reverse match, in canvas pixels.
    canvas : tuple of int
        Sets the floor.
    spread : (n,), optional
        Of the detector's heatmap and votes.
    disagreement : (n,), optional
        Distance between the detector's and the embedding's position.
    """
    size = max(canvas)
    signs = [np.minimum(cycle, 0.1 * size) * 0.5, np.full_like(cycle, _FLOOR * size)]
    if spread is not None:
        signs.append(spread * 0.5)
    if disagreement is not None:
        signs.append(np.minimum(disagreement, 0.2 * size) * 0.5)
    return np.sqrt(np.sum(np.square(signs), axis=0))
