"""Instance optimization of a shifted picture."""

import numpy as np
import pytest
import torch

from napari_landmark.data.errors import InputError
from napari_landmark.learning.device import choose_device
from napari_landmark.progress import CancelToken
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


class TestVolumes:
    def test_a_known_map_is_kept_and_improved_from_coarse_to_fine(self, drawn):
        """A volume that is shifted by three voxels across its axes, begun at two of them."""
        array = drawn.texture((72, 64, 64))
        images = [drawn.image(np.ascontiguousarray(array[z : z + 64])) for z in (3, 0)]
        pair = PreparedPair.from_images(*images, working_size=128, device=choose_device("cpu"))
        assert pair.shape == (64, 64, 64)
        velocity = torch.zeros(1, 3, 32, 32, 32)
        initial = compose_alignment(torch.eye(3)[None], torch.tensor([[2.0, 0, 0]]), velocity, pair.shape)
        found, _ = optimize_instance(pair, initial, steps=20, weights=LossWeights())
        inner = found.displacement[0, :, 16:-16, 16:-16, 16:-16].flatten(1)
        assert inner.mean(1).tolist() == pytest.approx([3, 0, 0], abs=0.2)
        assert float((inner - torch.tensor([[3.0], [0], [0]])).norm(dim=0).mean()) < 0.5

    def test_an_initialization_keeps_its_detail_on_coarser_grids(self, drawn):
        array = drawn.texture((32, 48, 32))
        pair = PreparedPair.from_images(
            *[drawn.image(array)] * 2, working_size=96, device=choose_device("cpu")
        )
        assert pair.shape == (32, 48, 32)
        matrix = torch.tensor([[[1.1, 0.1, 0], [0, 0.9, 0.2], [0.05, 0, 1]]])
        shift, velocity = torch.tensor([[1.0, -2, 0.5]]), torch.randn(1, 3, 16, 24, 16)
        initial = compose_alignment(matrix, shift, velocity, pair.shape)
        nothing = LossWeights(similarity=1e-15, dice=0, bending=0, jacobian=0, landmarks=0)
        found, _ = optimize_instance(pair, initial, steps=10, weights=nothing)
        torch.testing.assert_close(found.displacement, initial.displacement, atol=0.02, rtol=0)

    def test_progress_and_cancel_over_both_parts(self, drawn):
        """Seven tenths of the steps are of a velocity, the rest are composed; a cancel keeps what there is."""
        array = drawn.texture((40, 32, 32))
        images = [drawn.image(np.ascontiguousarray(array[z : z + 32])) for z in (2, 0)]
        pair = PreparedPair.from_images(*images, working_size=64, device=choose_device("cpu"))
        initial = compose_alignment(
            torch.eye(3)[None], torch.zeros(1, 3), torch.zeros(1, 3, 16, 16, 16), pair.shape
        )
        seen, cancel = [], CancelToken()

        def watch(event):
            seen.append(event)
            if event.fraction > 0.8:
                cancel.cancel()

        found, terms = optimize_instance(
            pair, initial, steps=100, weights=LossWeights(), progress=watch, cancel=cancel
        )
        fractions = [event.fraction for event in seen]
        assert fractions == sorted(fractions) and 0.8 < fractions[-1] < 1
        assert [event.step for event in seen] == sorted(event.step for event in seen)
        assert "similarity" in terms
        inner = found.displacement[0, 0, 8:-8, 8:-8, 8:-8]
        assert float(inner.mean()) == pytest.approx(2, abs=0.4)
