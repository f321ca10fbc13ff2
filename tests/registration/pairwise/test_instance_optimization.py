"""Instance optimization of a shifted picture."""

import pytest
import torch

from napari_landmark.data.errors import InputError
from napari_landmark.learning.device import choose_device
from napari_landmark.registration.losses import LossWeights, loss_terms
from napari_landmark.registration.networks.registration_network import compose_alignment
from napari_landmark.registration.pairwise.instance_optimization import best_initialization, optimize_instance
from napari_landmark.registration.pairwise.pair import PreparedPair

SIDE = 128  # of the working grid; the registration grid has half of it


@pytest.fixture
def pair(drawn):
    """A picture, and the same shifted by six pixels of the working grid: three of the registration grid."""
    array = drawn.texture((SIDE + 6, SIDE))
    images = [drawn.image(array[y : y + SIDE]) for y in (6, 0)]
    return PreparedPair.from_images(*images, working_size=SIDE, device=choose_device("cpu"))


def shifted(pair, down):
    velocity = torch.zeros(1, 2, *[n // 2 for n in pair.shape])
    return compose_alignment(torch.eye(2)[None], torch.tensor([[down, 0.0]]), velocity, pair.shape)


class TestBestInitialization:
    def test_the_lowest_objective_wins(self, pair):
        candidates = [shifted(pair, shift) for shift in (0.0, 3.0, -3.0)]
        assert best_initialization(pair, candidates, LossWeights()) is candidates[1]

    def test_the_first_of_equals_and_never_one_that_is_no_number(self, pair):
        good, other = shifted(pair, 3.0), shifted(pair, 3.0)
        lost = shifted(pair, float("nan"))
        assert best_initialization(pair, [good, other], LossWeights()) is good
        assert best_initialization(pair, [lost, good], LossWeights()) is good

    def test_without_anything_to_compare_the_first(self, pair):
        candidates = [shifted(pair, 0.0), shifted(pair, 3.0)]
        nothing = LossWeights(similarity=0, dice=0, bending=0, jacobian=0, landmarks=0)
        assert best_initialization(pair, candidates, nothing) is candidates[0]


class TestOptimization:
    def test_approaches_the_known_shift(self, pair):
        found, terms = optimize_instance(pair, shifted(pair, 1.5), steps=40, weights=LossWeights())
        inner = found.displacement[0, :, 20:-20, 20:-20]
        torch.testing.assert_close(inner[0], torch.full_like(inner[0], 3.0), atol=0.3, rtol=0)
        assert {"similarity", "bending"} <= set(terms)

    def test_no_steps_return_the_initialization(self, pair):
        initial = shifted(pair, 1.5)
        found, terms = optimize_instance(pair, initial, steps=0, weights=LossWeights())
        assert found is initial
        assert terms == {}

    def test_a_loss_that_is_not_a_number_is_an_error(self, pair):
        pair.moving.fill_(float("nan"))
        with pytest.raises(InputError, match="cannot be compared"):
            optimize_instance(pair, shifted(pair, 0.0), steps=5, weights=LossWeights())

    def test_coarse_scales_are_used_in_the_first_half_only(self, pair):
        weights = LossWeights()
        initial = shifted(pair, 0.0)

        def similarity(alignment, coarse):
            terms = loss_terms(pair.warped(alignment), weights, torch.ones(0), coarse=coarse)
            return pytest.approx(float(terms["similarity"]), abs=1e-5)

        after_one, terms = optimize_instance(pair, initial, steps=1, weights=weights)
        assert terms["similarity"] == similarity(initial, True)
        assert terms["similarity"] != similarity(initial, False)
        # The first of two steps is the same, so that the second begins there.
        _, terms = optimize_instance(pair, initial, steps=2, weights=weights)
        assert terms["similarity"] == similarity(after_one, False)
        assert terms["similarity"] != similarity(after_one, True)
