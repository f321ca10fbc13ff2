"""Pseudo-labels: landmark positions found in the images of a cohort, weighted, for training on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_PSEUDO_LABELLED = 1000
"""Images at most: a thousand teach a detector as well as ten thousand."""


@dataclass(frozen=True)
class PseudoLabels:
    """Weighted positions of the landmarks in the images of a cohort.

    Parameters
    ----------
    positions : (n_images, n, d) float array
        On the working grid; NaN where unknown, as in images without pseudo-labels.
    weights : (n_images, n) float array
        0..1; 0 where unknown.
    prior : float
        Typical error of the positions in working-grid pixels: the scale of a refinement.
    consensus : (n_images, n) float array or None
        Of the refinement, 0..1, NaN in images without pseudo-labels; None before it.
    annotated : tuple of int
        Numbers of the manually annotated images.
    """

    positions: np.ndarray
    weights: np.ndarray
    prior: float
    consensus: np.ndarray | None = None
    annotated: tuple[int, ...] = ()

    @property
    def numbers(self) -> np.ndarray:
        """Numbers of the images with a position."""
        return np.flatnonzero(~np.isnan(self.positions[..., 0]).all(1))


def pseudo_labelled_images(count: int, annotated: Sequence[int]) -> list[int]:
    """Numbers of at most `MAX_PSEUDO_LABELLED` images spread over a cohort, and those of all annotated ones."""
    spread = np.unique(np.linspace(0, count - 1, min(count, MAX_PSEUDO_LABELLED)).round().astype(int))
    return sorted({*spread.tolist(), *annotated})
