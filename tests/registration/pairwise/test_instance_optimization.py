import pytest
import torch

from napari_landmark.learning.device import choose_device
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.networks.registration_network import finish_alignment
from napari_landmark.registration.pairwise.instance_optimization import best_start, optimize_instance
from napari_landmark.registration.pairwise.pair import PreparedPair

SIDE = 128  # of the canvas; the grid has half of it


@pytest.fixture
def pair(drawn):
    """A picture, and the same moved by six canvas pixels: three cells."""
    array = drawn.texture((SIDE + 6, SIDE))
    images = [drawn.image(array[y : y + SIDE]) for y in (6, 0)]
    return PreparedPair.of_images(*images, working_size=SIDE, device=choose_device("cpu"))


class TestBestStart:
    def test_the_lowest_objective_wins(self, pair):
        starts = [self.start(pair, shift) for shift in (0.0, 3.0, -3.0)]
        assert best_start(pair, starts, LossWeights()) is starts[1]

    def test_the_first_of_equals_and_never_one_that_is_no_number(self, pair):
        good, other = self.start(pair, 3.0), self.start(pair, 3.0)
        lost = self.start(pair, float("nan"))
        assert best_start(pair, [good, other], LossWeights()) is good
        assert best_start(pair, [lost, good], LossWeights()) is good

    def test_without_anything_to_compare_the_first(self, pair):
        starts = [self.start(pair, 0.0), self.start(pair, 3.0)]
        nothing = LossWeights(similarity=0, dice=0, bending=0, jacobian=0, landmarks=0)
        assert best_start(pair, starts, nothing) is starts[0]

    @staticmethod
    def start(pair, down):
        velocity = torch.zeros(1, 2, *[n // 2 for n in pair.shape])
        return finish_alignment(torch.eye(2)[None], torch.tensor([[down, 0.0]]), velocity, pair.shape)


class TestOptimise:
    def test_goes_down(self, pair):
        start = TestBestStart.start(pair, 1.5)
        found, terms = optimize_instance(pair, start, steps=40, weights=LossWeights())
        inner = found.displacement[0, :, 20:-20, 20:-20]
        torch.testing.assert_close(inner[0], torch.full_like(inner[0], 3.0), atol=0.3, rtol=0)
        assert {"similarity", "bending"} <= set(terms)

    def test_no_steps_leave_the_start(self, pair):
        start = TestBestStart.start(pair, 1.5)
        found, terms = optimize_instance(pair, start, steps=0, weights=LossWeights())
        assert found is start
        assert terms == {}

    def test_coarse_scales_count_in_the_beginning_only(self, pair, monkeypatch):
        from napari_landmark.registration.pairwise import instance_optimization as optimisation

        honest, seen = optimisation.loss_terms, []

        def spy(*given, coarse):
            seen.append(coarse)
            return honest(*given, coarse=coarse)

        monkeypatch.setattr(optimisation, "loss_terms", spy)
        optimize_instance(pair, TestBestStart.start(pair, 0.0), steps=6, weights=LossWeights())
        assert seen == [True] * 3 + [False] * 3
