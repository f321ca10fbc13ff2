"""Detection in patches: positions on the working grid, whatever the patches were centred on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter

from napari_landmark.detection.detector.detector import DetectorConfig, DetectorNetwork
from napari_landmark.detection.detector.patch_detector import (
    PatchDetector,
    detect_in_patches,
    patch_detector_config,
)
from napari_landmark.detection.refinement.patch_embedding import PatchEmbedding, PatchEmbeddingConfig


class BrightestSpot(DetectorNetwork):
    """A network that finds the brightest spot of a patch, whichever landmark is asked for."""

    def __init__(self, landmarks):
        super().__init__(DetectorConfig(landmarks, channels=(4, 4, 4, 4, 4), finest_stride=2))

    def of_one(self, images, landmarks):
        logits = 200 * F.avg_pool2d(images, 2).flatten(1)
        return logits, torch.zeros(*logits.shape, 2)


@pytest.fixture
def spots():
    """Image with bright spots at known positions."""
    positions = np.array([[40.0, 30.0], [90.5, 100.25], [20.0, 110.75], [120.0, 60.0]])
    image = np.zeros((160, 128), np.float32)
    for y, x in positions:
        rows, columns = np.mgrid[:160, :128]
        image += np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 2.0**2))
    return image, positions


class TestDetection:
    @pytest.mark.parametrize("off", [(0, 0), (5, -4), (-6, 3)])
    def test_each_landmark_is_found_near_its_expected_position(self, spots, cpu, off):
        image, positions = spots
        detector = PatchDetector(BrightestSpot(4), 64)
        found = detect_in_patches(detector, image, positions + off, cpu)
        assert np.abs(found.positions - positions).max() < 0.5
        assert found.positions.dtype == float

    def test_near_the_border(self, cpu):
        image = np.zeros((160, 128), np.float32)
        image[2, 125] = 1
        image = gaussian_filter(image, 1.5)
        image /= image.max()
        found = detect_in_patches(PatchDetector(BrightestSpot(1), 64), image, np.array([[4.0, 121.0]]), cpu)
        np.testing.assert_allclose(found.positions, [[2, 125]], atol=0.7)

    def test_of_two_alike_the_nearer_one(self, cpu):
        image = np.zeros((160, 128), np.float32)
        image[60:62, 60:62] = image[60:62, 82:84] = 1
        found = detect_in_patches(PatchDetector(BrightestSpot(1), 64), image, np.array([[60.0, 64.0]]), cpu)
        assert np.linalg.norm(found.positions - [[60.5, 60.5]]) < 1.0

    def test_a_flat_patch_is_spread(self, spots, cpu):
        image, positions = spots
        detector = PatchDetector(BrightestSpot(4), 64)
        sharp = detect_in_patches(detector, image, positions, cpu).spread
        flat = detect_in_patches(detector, np.zeros_like(image), positions, cpu).spread
        assert (flat > 2 * sharp).all()


def test_it_starts_from_the_patch_embedding():
    config = PatchEmbeddingConfig(channels=(4, 4, 8, 8, 8))
    embedding = PatchEmbedding(config)
    detector = DetectorNetwork(patch_detector_config(7, config))
    detector.pyramid.load_state_dict(embedding.pyramid.state_dict())
    logits, offsets = detector(torch.rand(2, 1, 64, 64))
    assert logits.shape == (2, 7, 32 * 32)
    assert offsets.shape == (2, 7, 32 * 32, 2)
