"""Work of napari that it does once in a program, done before a study is shown."""

from __future__ import annotations

import functools

import numpy as np
from napari.layers import Image, Points


@functools.cache
def warm_up() -> None:
    """Load what napari loads with the first layers: its units, and scipy for thumbnails; some 0.3 s.

    Called when the first widget opens, which takes a while and is not waited for in the middle of work.
    """
    Image(np.zeros((2, 2), np.uint8), units=("mm", "mm"))
    Points(np.zeros((1, 2)), features={"name": ["-"]}, text="{name}", units=("mm", "mm"))
