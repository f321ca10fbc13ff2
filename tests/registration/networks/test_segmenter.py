import pytest
import torch

from napari_landmark.registration.networks.segmenter import (
    Segmenter,
    SegmenterConfig,
    distorted_copies,
    region_trust,
    segmentation_loss,
)


class TestSegmenter:
    @pytest.mark.parametrize("dims", [2, 3])
    def test_shares_add_up_at_half_resolution(self, dims):
        network = Segmenter(SegmenterConfig(dims, 3, (8, 8, 8, 8, 8))).eval()
        found = network.probabilities(torch.rand(2, 1, *[64] * dims))
        assert found.shape == (2, 4, *[32] * dims)
        torch.testing.assert_close(found.sum(1), torch.ones(2, *[32] * dims))


class TestDistortedCopies:
    @pytest.mark.parametrize("dims", [2, 3])
    def test_image_and_target_move_together(self, dims):
        # The image is its own target: what is bright must stay in the region, wherever it goes.
        axes = torch.meshgrid(*[torch.arange(64.0) - 31.5] * dims, indexing="ij")
        ball = (sum(axis**2 for axis in axes).sqrt() < 14).float()[None, None]
        pool = {2: torch.nn.functional.avg_pool2d, 3: torch.nn.functional.avg_pool3d}[dims]
        generator = torch.Generator().manual_seed(3)
        for _ in range(4):
            copies, targets = distorted_copies(ball, pool(ball, 2), generator)
            small = pool(copies, 2)
            bright, dark = small[targets > 0.99], small[targets < 0.01]
            assert bright.numel() > 50
            assert float(bright.mean()) > float(dark.mean()) + 0.2
            edge = (small - dark.mean()) / (bright.mean() - dark.mean())
            overlap = ((edge > 0.5) == (targets > 0.5)).float().mean()
            assert float(overlap) > 0.9


class TestLoss:
    def test_right_answers_cost_little(self):
        target = torch.zeros(1, 2, 8, 8)
        target[:, 1, :4], target[:, 0, 4:] = 1, 1
        right, wrong = (target * 20 - 10), (10 - target * 20)
        assert float(segmentation_loss(right, target, torch.ones(1))) < 0.01
        assert float(segmentation_loss(wrong, target, torch.ones(1))) > 5

    def test_what_is_not_trusted_does_not_teach(self):
        target = torch.zeros(1, 2, 8, 8)
        target[:, 0] = 1
        scores = torch.zeros(1, 2, 8, 8, requires_grad=True)
        trust = torch.zeros(1, 8, 8)
        trust[:, :4] = 1
        segmentation_loss(scores, target, trust).backward()
        assert float(scores.grad[..., :4, :].abs().min()) > 0
        assert float(scores.grad[..., 4:, :].abs().max()) == 0


class TestTrust:
    def test_of_sure_and_of_undecided_answers(self):
        answer = torch.zeros(3, 4, 4)
        answer[0], answer[1, :2], answer[0, :2] = 1, 1, 0
        answer[2, 3], answer[0, 3] = 0.5, 0.5
        trust = region_trust(answer)
        assert float(trust[0]) == pytest.approx(1)
        assert float(trust[1]) == pytest.approx(0)
