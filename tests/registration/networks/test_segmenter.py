"""Segmenter."""

import pytest
import torch

from napari_landmark.registration.networks.segmenter import (
    Segmenter,
    SegmenterConfig,
    distort_images,
    region_confidence,
    segmentation_loss,
)


class TestSegmenter:
    @pytest.mark.parametrize("dims", [2, 3])
    def test_probabilities_add_up_at_half_resolution(self, dims):
        network = Segmenter(SegmenterConfig(dims, 3, (8, 8, 8, 8, 8))).eval()
        found = network.probabilities(torch.rand(2, 1, *[64] * dims))
        assert found.shape == (2, 4, *[32] * dims)
        torch.testing.assert_close(found.sum(1), torch.ones(2, *[32] * dims))


class TestDistortedCopies:
    @pytest.mark.parametrize("dims", [2, 3])
    def test_image_and_target_move_together(self, dims):
        # The image is its own target: the bright pixels must stay in the region.
        axes = torch.meshgrid(*[torch.arange(64.0) - 31.5] * dims, indexing="ij")
        ball = (sum(axis**2 for axis in axes).sqrt() < 14).float()[None, None]
        pool = {2: torch.nn.functional.avg_pool2d, 3: torch.nn.functional.avg_pool3d}[dims]
        generator = torch.Generator().manual_seed(3)
        for _ in range(4):
            distorted = distort_images(ball, generator)
            copies, targets = distorted.copies, distorted.distort_targets(pool(ball, 2))
            small = pool(copies, 2)
            bright, dark = small[targets > 0.99], small[targets < 0.01]
            assert bright.numel() > 50
            assert float(bright.mean()) > float(dark.mean()) + 0.2
            edge = (small - dark.mean()) / (bright.mean() - dark.mean())
            overlap = ((edge > 0.5) == (targets > 0.5)).float().mean()
            assert float(overlap) > 0.9


class TestLoss:
    def test_right_predictions_cost_little(self):
        target = torch.zeros(1, 2, 8, 8)
        target[:, 1, :4], target[:, 0, 4:] = 1, 1
        right, wrong = (target * 20 - 10), (10 - target * 20)
        assert float(segmentation_loss(right, target, torch.ones(1))) < 0.01
        assert float(segmentation_loss(wrong, target, torch.ones(1))) > 5

    def test_pixels_without_weight_have_no_gradient(self):
        target = torch.zeros(1, 2, 8, 8)
        target[:, 0] = 1
        logits = torch.zeros(1, 2, 8, 8, requires_grad=True)
        weight = torch.zeros(1, 8, 8)
        weight[:, :4] = 1
        segmentation_loss(logits, target, weight).backward()
        assert float(logits.grad[..., :4, :].abs().min()) > 0
        assert float(logits.grad[..., 4:, :].abs().max()) == 0


class TestConfidence:
    def test_of_certain_and_of_undecided_predictions(self):
        prediction = torch.zeros(3, 4, 4)
        prediction[0], prediction[1, :2], prediction[0, :2] = 1, 1, 0
        prediction[2, 3], prediction[0, 3] = 0.5, 0.5
        confidence = region_confidence(prediction)
        assert float(confidence[0]) == pytest.approx(1)
        assert float(confidence[1]) == pytest.approx(0)
