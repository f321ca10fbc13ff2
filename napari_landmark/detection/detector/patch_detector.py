"""Patch detector: heatmap and offsets of a landmark in a patch around its coarse position.

A second, local stage of a cascade: where the detector of whole images resolves cells of four pixels in a context of
the whole image, this one resolves cells of two pixels in patches of 64. It learns from annotations and pseudo-labels,
so that a detection takes as long with a hundred annotated images as with one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from napari_landmark.detection.detector.detector import DetectorConfig, DetectorNetwork
from napari_landmark.detection.refinement.patch_embedding import PatchEmbeddingConfig
from napari_landmark.detection.refinement.patches import Pixels, crop_patches_around
from napari_landmark.learning.device import Device

_STRIDE = 2
_RADIUS, _SIGMA = 12.0, 3.0  # pixels
_SHIFT = 3  # pixels of the working grid along each axis between the two patches that vote
_PRIOR = 6.0  # pixels: standard deviation of the true position around the expected one


def patch_detector_config(landmarks: int, patches: PatchEmbeddingConfig) -> DetectorConfig:
    """Architecture of a patch detector that starts from the U-Net of a patch embedding."""
    return DetectorConfig(
        landmarks,
        patches.spatial_dims,
        channels=patches.channels,
        finest_stride=_STRIDE,
        radius=_RADIUS,
        sigma=_SIGMA,
    )


@dataclass(frozen=True)
class PatchDetector:
    """Detector network that is applied to patches, one landmark in each.

    Parameters
    ----------
    network : DetectorNetwork
    window : int
        Side of the patches, in pixels of the working grid.
    is_alone : bool
        Whether matches of the templates have no vote beside it, since it has learned from more images than those.
    """

    network: DetectorNetwork
    window: int
    is_alone: bool = False


@dataclass(frozen=True)
class PatchVotes:
    """Landmarks of one image found in patches.

    Parameters
    ----------
    positions : (n, d) float array
        On the working grid.
    spread : (n,) float array
        Mean distance of the heatmaps' mass from the position, in pixels.
    """

    positions: np.ndarray
    spread: np.ndarray


def detect_in_patches(
    detector: PatchDetector, image: Pixels, expected: np.ndarray, device: Device
) -> PatchVotes:
    """Find each landmark around its expected position: the mean of two shifted patches.

    Parameters
    ----------
    detector : PatchDetector
    image : (*working grid) float array
    expected : (n, d) float array
        On the working grid.
    """
    network, side = detector.network, detector.window
    config = network.config
    network.eval()
    centres = np.concatenate([expected - _SHIFT / 2, expected + _SHIFT / 2])
    pixels, origins = crop_patches_around(image, centres, side)
    own = device.to(torch.arange(len(expected)).repeat(2))
    with torch.no_grad(), device.autocast():
        logits, offsets = network.of_one(device.to(pixels), own)
    cells = network.cell_positions((side,) * config.spatial_dims, logits.device)
    around = device.to(torch.from_numpy(np.concatenate([expected, expected])).float() - origins)
    heat = (logits - (cells - around[:, None]).square().sum(-1) / (2 * _PRIOR**2)).softmax(-1)
    positions = (heat[..., None] * (cells + offsets * config.radius)).sum(1)
    spread = (heat * (cells - positions[:, None]).norm(dim=-1)).sum(-1)
    found = (positions.cpu() + origins).unflatten(0, (2, -1)).mean(0)
    return PatchVotes(found.numpy().astype(float), spread.unflatten(0, (2, -1)).mean(0).cpu().numpy())
