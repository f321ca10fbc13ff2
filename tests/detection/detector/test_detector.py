"""Positions, confidence and spread that a detector votes for."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.detection.detector.detector import DetectorConfig, DetectorNetwork, detector_prior
from napari_landmark.learning.interpolation import canvas_coordinates

SMALL = (4, 4, 8, 8, 8)


class Constructed(DetectorNetwork):
    """Detector with given logits and offsets."""

    def tell(self, targets, shape, *, sharpness=0.5, offset_error=0.0):
        """Logits that peak at the targets (n, d), in input pixels, and offsets to them."""
        difference = targets[:, None] - self.cell_positions(shape, torch.device("cpu"))
        self.logits = -sharpness * difference.square().sum(-1)[None] / self.pyramid.finest_stride**2
        self.offsets = (difference / self.config.radius)[None] + offset_error
        return self

    def forward(self, images):
        return self.logits, self.offsets


def network(landmarks=3, dims=2, kind=Constructed, **options):
    torch.manual_seed(0)
    return kind(DetectorConfig(landmarks, dims, channels=SMALL, **options))


@pytest.mark.parametrize("shape", [(64, 96), (32, 40, 48)])
class TestVote:
    targets = torch.tensor([[10.3, 20.7, 11.2], [25.5, 15.25, 30.9], [16.0, 31.9, 8.4]])

    def told(self, shape, **options):
        return network(dims=len(shape)).tell(self.targets[:, : len(shape)], shape, **options)

    def test_the_position_is_exact_between_pixels(self, shape, cpu):
        votes = self.told(shape).vote(torch.zeros(1, 1, *shape), cpu)
        torch.testing.assert_close(votes.positions[0], self.targets[:, : len(shape)], atol=0.02, rtol=0)

    def test_on_the_canvas_where_the_input_is_shrunk(self, shape, cpu):
        detector = network(dims=len(shape), downsampling=2).tell(self.targets[:, : len(shape)], shape)
        votes = detector.vote(torch.zeros(1, 1, *shape), cpu)
        expected = canvas_coordinates(self.targets[:, : len(shape)], 2)
        torch.testing.assert_close(votes.positions[0], expected, atol=0.04, rtol=0)

    def test_a_heatmap_is_a_distribution(self, shape, cpu):
        heat = self.told(shape).vote(torch.zeros(1, 1, *shape), cpu).heatmaps
        assert heat.shape == (1, 3, *(n // 4 for n in shape))
        torch.testing.assert_close(heat.flatten(2).sum(-1), torch.ones(1, 3))

    def test_a_sharper_map_is_surer(self, shape, cpu):
        images = torch.zeros(1, 1, *shape)
        sharp, blunt = (self.told(shape, sharpness=s).vote(images, cpu) for s in (1.0, 0.01))
        assert (sharp.confidence > blunt.confidence).all()
        assert (sharp.spread < blunt.spread).all()
        radius = network(dims=len(shape)).config.radius
        assert ((blunt.spread > 0) & (blunt.spread <= 2.5 * radius)).all()
        assert ((sharp.confidence >= 0) & (sharp.confidence <= 1 + 1e-5)).all()


def test_its_description_makes_the_same_architecture():
    config = DetectorConfig(5, 3, 2, SMALL, 8, 10.0, 3.0)
    assert DetectorConfig(**config.to_json()) == config


def test_the_prior_is_three_quarters_of_a_cell_on_the_working_grid():
    assert detector_prior(network(2, downsampling=1)) == 3
    assert detector_prior(network(2, downsampling=2)) == 6


@pytest.mark.parametrize("shape", [(64, 96), (32, 64, 32)])
def test_one_landmark_of_each_image_is_as_among_all(shape):
    detector = network(dims=len(shape), kind=DetectorNetwork).eval()
    images = torch.rand(4, 1, *shape, generator=torch.Generator().manual_seed(1))
    landmarks = torch.tensor([2, 0, 1, 2])
    with torch.no_grad():
        logits, offsets = detector(images)
        own_logits, own_offsets = detector.of_one(images, landmarks)
    rows = torch.arange(4)
    torch.testing.assert_close(own_logits, logits[rows, landmarks], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(own_offsets, offsets[rows, landmarks], atol=1e-5, rtol=1e-4)
