"""Screening of template matches by the shape model: outliers are matched again or lose weight."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.detector.shape_model import fit_shape_model
from napari_landmark.detection.embedding.feature_extractor import FeatureExtractor
from napari_landmark.detection.embedding.feature_matching import sub_cell_peak
from napari_landmark.detection.embedding.template_matching import Descriptors, match_templates
from napari_landmark.learning.batches import load_batch
from napari_landmark.learning.device import Device
from napari_landmark.learning.interpolation import canvas_coordinates, pixel_positions

_LARGEST_DEVIATION = 4.0  # robust standard deviations


def screen_outliers(
    positions: np.ndarray,
    weights: np.ndarray,
    extractor: FeatureExtractor,
    cohort: Cohort,
    descriptors: Descriptors,
    *,
    numbers: Sequence[int],
    device: Device,
) -> tuple[np.ndarray, np.ndarray]:
    """Repair gross errors of matches, or reduce their weight.

    Landmarks that deviate from the prediction of the other landmarks are matched again near that prediction; the
    second match is taken if it is plausible, at half its weight.

    Parameters
    ----------
    positions : (n_images, n, d) array
        On the working grid.
    weights : (n_images, n) array
    numbers : sequence of int
        Numbers of these images in the cohort.

    Returns
    -------
    positions, weights : arrays
        New ones, of the same shapes; as given where there are too few images or landmarks for a shape model.
    """
    positions, weights = positions.copy(), weights.copy()
    model = fit_shape_model(positions, weights)
    if model is None:
        return positions, weights
    deviation, expected = model.judge(positions)
    for row in np.flatnonzero((deviation > _LARGEST_DEVIATION).any(1)).tolist():
        outliers = np.flatnonzero(deviation[row] > _LARGEST_DEVIATION)
        maps = extractor.embed(load_batch(cohort, [numbers[row]], 1, device))
        heatmaps = match_templates(extractor, descriptors, maps, keep_heatmaps=True).heatmaps
        if heatmaps is not None:
            positions[row, outliers] = _match_near(
                heatmaps[outliers], expected[row, outliers], 2 * model.scale[outliers], extractor.strides[-1]
            )
    deviation_after, _ = model.judge(positions)
    weights *= np.exp(-0.5 * (deviation_after / _LARGEST_DEVIATION) ** 4)
    weights[deviation > _LARGEST_DEVIATION] *= 0.5
    return positions, weights


def _match_near(heatmaps: torch.Tensor, expected: np.ndarray, radius: np.ndarray, stride: int) -> np.ndarray:
    """Peaks (k, d) of heatmaps (k, *shape) weighted by Gaussians around expected positions (k, d)."""
    shape = tuple(heatmaps.shape[1:])
    cells = canvas_coordinates(pixel_positions(shape, device=heatmaps.device), stride).flatten(0, -2)
    centre = torch.as_tensor(expected, dtype=torch.float32, device=heatmaps.device)
    width = torch.as_tensor(radius, dtype=torch.float32, device=heatmaps.device)[:, None] + stride
    squared = (cells[None] - centre[:, None]).square().sum(-1)
    weighted = heatmaps.flatten(1) * torch.exp(-0.5 * squared / width.square())
    peaks, _ = sub_cell_peak(weighted.view(1, len(heatmaps), *shape))
    return canvas_coordinates(peaks[0], stride).cpu().numpy()
