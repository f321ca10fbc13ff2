"""Result of registering a moving to a fixed image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_landmark.registration.transform.transform import Transform


@dataclass(frozen=True, eq=False)
class Registration:
    """Transform of a registered pair, with time and loss of its registration.

    Parameters
    ----------
    transform : Transform
    seconds : float
        Wall-clock time of the registration.
    terms : dict of str to float
        Last value of every term of the loss, before its weight; empty without instance optimization.
    fixed_regions, moving_regions : (labels, *grid) float32 arrays or None
        Probabilities from the segmenter for the two images, on the registration grid.
    """

    transform: Transform
    seconds: float
    terms: Mapping[str, float] = field(default_factory=dict)
    fixed_regions: NDArray[np.float32] | None = None
    moving_regions: NDArray[np.float32] | None = None
