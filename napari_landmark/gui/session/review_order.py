"""Order of review: images with the largest expected error first, in a unit that compares images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.working_grid import fit_canvas_transform
from napari_landmark.data.geometry import Geometry


def native_pixel_lengths(cohort: Cohort) -> NDArray[np.float64]:
    """Length of a native pixel of each image, in a unit in which errors of different images compare.

    Returns
    -------
    (n,) array
        Millimetres where the spacing of all images is known, else pixels of the working grid: an image of twice the
        resolution has twice the error in native pixels.
    """
    geometries = [cohort.geometry(number) for number in range(len(cohort))]
    if all(geometry.has_spacing for geometry in geometries):
        return np.array([geometry.mean_spacing for geometry in geometries], dtype=float)
    known: dict[Geometry, float] = {}  # most images of a cohort have one geometry
    for geometry in geometries:
        if geometry not in known:
            known[geometry] = 1 / fit_canvas_transform(geometry, cohort.canvas).scale
    return np.array([known[geometry] for geometry in geometries])


def review_order(errors: Mapping[str, float], lengths: Mapping[str, float]) -> list[str]:
    """Names of images, the largest expected error first; those of one error keep their order.

    Parameters
    ----------
    errors : mapping of str to float
        Mean expected error of each image in native pixels; minus infinity where there is none.
    lengths : mapping of str to float
        Length of a native pixel of each image, from `native_pixel_lengths`.
    """
    names = list(errors)
    compared = np.array([errors[name] for name in names]) * [lengths[name] for name in names]
    return [names[number] for number in np.argsort(-compared, kind="stable")]
