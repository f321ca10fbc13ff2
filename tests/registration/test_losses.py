"""Terms of the loss of a registration."""

import json

import pytest
import torch

from napari_landmark.data.errors import InputError
from napari_landmark.registration.losses import (
    LossWeights,
    PairTensors,
    bending_energy,
    box_mean,
    dice_loss,
    landmark_loss,
    local_correlation,
    loss_terms,
    roi_weight_map,
    similarity_loss,
    weighted_sum,
)
from napari_landmark.registration.transform.fields_torch import affine_displacement, warp


def picture(*shape, seed=0):
    return torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(seed))


def square(start, size=8, shape=(32, 32)):
    mask = torch.zeros(1, 1, *shape)
    mask[..., start : start + size, start : start + size] = 1
    return mask


def pairs(**changes):
    values = {
        "fixed": picture(32, 32),
        "warped": picture(32, 32, seed=1),
        "displacement": torch.zeros(1, 2, 32, 32),
        "fixed_regions": square(8),
        "warped_regions": square(12),
    }
    return PairTensors(**(values | changes))


class TestSimilarity:
    @pytest.mark.parametrize("shape", [(24, 24), (12, 12, 12)])
    def test_is_blind_to_brightness_and_contrast(self, shape):
        image = picture(*shape)
        assert float(similarity_loss(image, 0.4 * image + 0.3)) == pytest.approx(0, abs=0.02)
        assert float(similarity_loss(image, picture(*shape, seed=1))) > 0.8

    def test_of_constant_images_is_finite(self):
        flat = torch.full((1, 1, 16, 16), 0.5)
        assert float(local_correlation(flat, picture(16, 16)).abs().max()) < 1e-3

    def test_a_weight_map_selects_pixels(self):
        image, other = picture(32, 32), picture(32, 32, seed=1)
        half = torch.where(torch.arange(32) < 16, image, other)
        left = torch.zeros(1, 1, 32, 32)
        left[..., :8] = 1
        assert float(similarity_loss(image, half, left)) < 0.05
        assert float(similarity_loss(image, half, 1 - left)) > 0.4


class TestBoxMean:
    def test_agrees_with_a_window_cut_out(self):
        values = picture(12, 14)
        assert float(box_mean(values, 3)[0, 0, 5, 6]) == pytest.approx(float(values[0, 0, 4:7, 5:8].mean()))
        assert float(box_mean(values, 3)[0, 0, 0, 0]) == pytest.approx(float(values[0, 0, :2, :2].mean()))


class TestWeights:
    def test_they_come_back_from_json(self):
        weights = LossWeights(dice=0.5, roi=0, regions={3: 2.5, 7: 0.0})
        assert LossWeights.from_json(json.loads(json.dumps(weights.to_json()))) == weights

    @pytest.mark.parametrize("values", [None, {}, {"regions": None}, {"later term": "x"}, [1]])
    def test_what_is_missing_has_its_default(self, values):
        assert LossWeights.from_json(values) == LossWeights()

    @pytest.mark.parametrize(
        "values", [{"dice": "much"}, {"dice": None}, {"dice": -1}, {"regions": {"bone": 1}}, {"regions": 5}]
    )
    def test_other_values_are_refused(self, values):
        with pytest.raises(InputError, match="of the registration: expected numbers"):
            LossWeights.from_json(values)

    def test_other_regions_leave_the_rest(self):
        weights = LossWeights(dice=0.5, regions={3: 2.5, 7: 4.0})
        assert weights.with_regions({7: 1.0, 9: 2.0}) == LossWeights(
            dice=0.5, regions={3: 2.5, 7: 1.0, 9: 2.0}
        )


class TestRegions:
    def test_dice_of_overlapping_squares(self):
        assert float(dice_loss(square(8), square(12), torch.ones(1))) == pytest.approx(1 - 16 / 64, abs=1e-3)
        assert float(dice_loss(square(8), square(8), torch.ones(1))) == pytest.approx(0, abs=1e-4)

    def test_weights_and_confidence_select_regions(self):
        fixed, warped = torch.cat([square(8), square(8)], 1), torch.cat([square(8), square(20)], 1)
        assert float(dice_loss(fixed, warped, torch.tensor([1.0, 0.0]))) == pytest.approx(0, abs=1e-4)
        assert float(dice_loss(fixed, warped, torch.tensor([1.0, 1.0]))) == pytest.approx(0.5, abs=1e-3)
        confidence = torch.tensor([[1.0, 0.0]])
        assert float(dice_loss(fixed, warped, torch.ones(2), confidence=confidence)) == pytest.approx(
            0, abs=1e-4
        )

    def test_a_region_absent_from_both_is_ignored(self):
        one = torch.cat([square(8), torch.zeros(1, 1, 32, 32)], 1)
        assert float(dice_loss(one, one, torch.ones(2))) == pytest.approx(0, abs=1e-4)

    def test_the_weight_map_is_one_far_away_and_more_inside(self):
        weight = roi_weight_map(square(8), square(8, 12), torch.ones(1), roi=2.0)
        assert float(weight[0, 0, 31, 31]) == pytest.approx(1)
        assert float(weight[0, 0, 13, 13]) > 2.5
        assert 1 < float(weight[0, 0, 6, 12]) < 3  # outside, next to the border


class TestScales:
    """Only coarser scales attract structures that are far apart."""

    @staticmethod
    def blob(at: float) -> torch.Tensor:
        pixels = torch.arange(128.0)
        along = torch.exp(-((pixels - at) ** 2) / 18)
        return (along[:, None] * torch.exp(-((pixels - 64) ** 2) / 18))[None, None]

    def pull(self, loss) -> float:
        shift = torch.zeros(1, 2, requires_grad=True)
        moved = warp(self.blob(84), affine_displacement(torch.eye(2)[None], shift, (128, 128)))
        loss(self.blob(52), moved).backward()
        return -float(shift.grad[0, 0])

    def test_regions_that_do_not_touch(self):
        def loss(fixed, moved, coarse):
            return dice_loss(fixed, moved, torch.ones(1), coarse=coarse)

        far, near = (self.pull(lambda a, b, c=c: loss(a, b, c)) for c in (True, False))
        assert far > 1e-4
        assert abs(near) < far / 50

    def test_images_further_apart_than_the_window(self):
        far, near = (self.pull(lambda a, b, c=c: similarity_loss(a, b, coarse=c)) for c in (True, False))
        assert far > 0
        assert abs(near) < far / 2


class TestRegularity:
    @pytest.mark.parametrize("shape", [(10, 12), (8, 9, 10)])
    def test_affine_maps_cost_nothing(self, shape):
        matrix = torch.eye(len(shape))[None] + 0.3
        field = affine_displacement(matrix, torch.ones(1, len(shape)), shape)
        assert float(bending_energy(field)) == pytest.approx(0, abs=1e-8)

    def test_of_a_parabola(self):
        y = torch.arange(12.0)
        field = torch.zeros(1, 2, 12, 12)
        field[0, 0] = (0.5 * y**2)[:, None]  # second derivative 1 in one of two components
        assert float(bending_energy(field)) == pytest.approx(0.5)


class TestLandmarks:
    def test_unknown_ones_are_ignored(self):
        nan = float("nan")
        assert float(landmark_loss(torch.tensor([[nan, nan]]), None)) == 0
        known = landmark_loss(torch.tensor([[0.05, nan]]), None)
        assert float(known) == pytest.approx(0.05 - 0.005)

    def test_one_of_low_weight_counts_less(self):
        distances = torch.tensor([[0.0, 0.1]])
        equal = landmark_loss(distances, torch.tensor([[1.0, 1.0]]))
        assert float(landmark_loss(distances, torch.tensor([[1.0, 0.1]]))) < 0.3 * float(equal)


class TestTerms:
    def test_a_weight_of_zero_leaves_a_term_out(self):
        everything = loss_terms(pairs(distances=torch.zeros(1, 2)), LossWeights(), torch.ones(1))
        assert set(everything) == {"similarity", "dice", "bending", "jacobian", "landmarks"}
        weights = LossWeights(similarity=0, jacobian=0, landmarks=0)
        assert set(loss_terms(pairs(distances=torch.zeros(1, 2)), weights, torch.ones(1))) == {
            "dice",
            "bending",
        }

    def test_their_weighted_sum(self):
        weights = LossWeights(dice=3)
        terms = loss_terms(pairs(), weights, torch.ones(1))
        expected = sum(getattr(weights, name) * float(value) for name, value in terms.items())
        assert float(weighted_sum(terms, weights)) == pytest.approx(expected)

    def test_negative_weights_are_refused(self):
        with pytest.raises(InputError, match="dice"):
            LossWeights(dice=-1)
        with pytest.raises(InputError, match="regions"):
            LossWeights(regions={1: float("nan")})
