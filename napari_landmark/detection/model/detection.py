"""Predicted landmarks of one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.landmarks import LandmarkSet


@dataclass(frozen=True)
class Detection:
    """Predicted landmarks of one image, with d axes.

    Parameters
    ----------
    landmarks : LandmarkSet
        Predictions in native index coordinates in array axis order ([y, x] or [z, y, x]), with confidence 0..1 and
        expected error in native pixels, and the state of the image; see `judge`. A landmark that no template shows is
        unplaced. Of several subjects those of the one that is found best.
    heatmaps : (n_landmarks, *cells) float32 array or None
        Per landmark, 0..1 with the peak at 1; zeros for a landmark that no template shows. Their grid is coarser than
        the working grid.
    heatmap_matrix, heatmap_offset : (d, d) and (d,) float arrays
        Native index = matrix @ heatmap index + offset, both in pixels of their grid and array axis order.
    pose : Pose
        Pose of the image relative to the template's, in which the landmarks were found.
    working_error : float
        Mean expected error in pixels of the working grid.
    subjects : tuple of LandmarkSet
        Where there are several subjects, the landmarks of each, the one that is found best first.
    """

    landmarks: LandmarkSet
    heatmaps: np.ndarray | None
    heatmap_matrix: np.ndarray
    heatmap_offset: np.ndarray
    pose: Pose
    working_error: float
    subjects: tuple[LandmarkSet, ...] = ()
