"""Regions and landmarks of a prepared pair."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.learning.device import choose_device
from napari_landmark.registration.losses import LossWeights, loss_terms
from napari_landmark.registration.networks.registration_network import compose_alignment
from napari_landmark.registration.pairwise.pair import PreparedPair

SHAPE = (64, 64)
SCHEMA = LandmarkSchema(("a", "b", "c"))


@pytest.fixture
def pair(drawn):
    images = [drawn.image(drawn.texture(SHAPE, seed)) for seed in range(2)]
    return PreparedPair.from_images(*images, working_size=64, device=choose_device("cpu"))


def label_map(**corners):
    """Squares of 16 pixels: label a=(row, column) as 1, b=... as 2."""
    array = np.zeros(SHAPE, np.uint8)
    for name, (row, column) in corners.items():
        array[row : row + 16, column : column + 16] = "ab".index(name) + 1
    return array


def shift(pair, rows, columns):
    velocity = torch.zeros(1, 2, *[n // 2 for n in pair.shape])
    return compose_alignment(torch.eye(2)[None], torch.tensor([[rows, columns]]), velocity, pair.shape)


class TestLabelMaps:
    def test_labels_of_both_maps_are_matched(self, pair):
        pair.add_label_maps((label_map(a=(8, 8)), label_map(a=(16, 8), b=(40, 40))))
        assert pair.labels == (1,)
        assert pair.regions.confidence.tolist() == [[1]]
        assert float(pair.regions.fixed[0, 0, 4:12, 4:12].min()) == 1
        assert float(pair.regions.moving.sum()) == pytest.approx(64)  # 16 x 16 pixels of the working grid

    def test_a_missing_map_is_replaced_by_the_segmenter(self, pair):
        probabilities = torch.zeros(3, *pair.shape)
        probabilities[1, 8:16, 4:12] = 0.9
        probabilities[0] = 1 - probabilities[1]
        pair.add_label_maps(
            (label_map(a=(8, 8)), None), model_labels=(1, 2), probabilities=(None, probabilities)
        )
        assert pair.labels == (1, 2)
        assert pair.regions.confidence[0].tolist() == pytest.approx([0.8, 0])
        torch.testing.assert_close(pair.regions.moving[0, 0], probabilities[1])
        assert float(pair.regions.fixed[0, 1].max()) == 0  # the map lacks it

    def test_many_labels_stay_label_maps(self, pair, monkeypatch):
        monkeypatch.setattr("napari_landmark.registration.pairwise.pair.PAIR_VALUES", 1000)
        pair.add_label_maps((label_map(a=(8, 8)), label_map(a=(16, 4), b=(40, 40))))
        assert pair.regions is None
        assert pair.labels == (1,)
        assert pair.label_maps.fixed.sum() == pair.label_maps.moving.sum() == 64  # b is in one of them
        assert pair.label_maps.fixed[4:12, 4:12].min() == 1
        matrix, offset = pair.matched_affine(LossWeights())
        assert offset.tolist()[0] == pytest.approx([4, -2], abs=0.2)
        assert pair.matched_affine(LossWeights(regions={1: 0.0})) is None
        warped = pair.warped(compose_alignment(matrix, offset, torch.zeros(1, 2, 16, 16), pair.shape))
        terms = loss_terms(warped, LossWeights(), torch.ones(1))
        assert float(terms["dice"]) < 0.05
        assert (
            float(loss_terms(pair.warped(shift(pair, 0.0, 0.0)), LossWeights(), torch.ones(1))["dice"]) > 0.5
        )
        assert pair.downsampled(4).label_maps.fixed.shape == (8, 8)

    def test_without_labels(self, pair):
        pair.add_label_maps((np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)))
        assert pair.regions is None


class TestLandmarks:
    def test_are_matched_by_name_and_weighted(self, pair):
        fixed = LandmarkSet(
            SCHEMA, [Landmark("a", (10, 20), Status.PLACED), Landmark("b", None, Status.MISSING)]
        )
        moving = LandmarkSet(
            SCHEMA,
            [Landmark("a", (12, 20), Status.PREDICTED, 0.5), Landmark("b", (1, 1), Status.PLACED)],
        )
        pair.add_landmarks(fixed, moving)
        assert pair.landmarks.fixed.tolist() == [[[4.75, 9.75]]]  # pixels of the registration grid
        assert pair.landmarks.moving.tolist() == [[[5.75, 9.75]]]
        assert pair.landmarks.weights.tolist() == [[0.5]]
        # The map shifts by one of 32 pixels: on the landmark, twice as far, and not at all.
        for rows, distance in ((1.0, 0), (2.0, 1 / 32), (0.0, 1 / 32)):
            found = pair.warped(shift(pair, rows, 0.0))
            assert float(found.distances) == pytest.approx(distance, abs=1e-5)

    def test_none_in_common(self, pair):
        pair.add_landmarks(
            LandmarkSet(SCHEMA, [Landmark("a", (1, 1), Status.PLACED)]),
            LandmarkSet(SCHEMA, [Landmark("b", (1, 1), Status.PLACED)]),
        )
        assert pair.landmarks is None
        assert pair.warped(shift(pair, 0.0, 0.0)).distances is None


class TestMatchedAffine:
    @pytest.fixture
    def guided(self, pair):
        pair.add_label_maps((label_map(a=(8, 8)), label_map(a=(16, 4))))
        return pair

    def test_is_the_shift_of_a_region(self, guided):
        matrix, offset = guided.matched_affine(LossWeights())
        warped = guided.warped(compose_alignment(matrix, offset, torch.zeros(1, 2, 16, 16), guided.shape))
        difference = (warped.warped_regions - warped.fixed_regions).abs().sum()
        assert float(difference) < 0.1 * float(warped.fixed_regions.sum())

    def test_needs_a_match_with_weight(self, guided):
        assert guided.matched_affine(LossWeights(regions={1: 0.0})) is None

    def test_needs_matches(self, pair):
        assert pair.matched_affine(LossWeights()) is None


class TestGrid:
    def test_a_small_volume_keeps_its_own_voxels(self, drawn):
        array = drawn.texture((20, 40, 32))
        pair = PreparedPair.from_images(
            drawn.image(array), drawn.image(array), working_size=384, device=choose_device("cpu")
        )
        assert pair.shape == (32, 48, 32)
        centre = pair.canvas_transforms[0].to_native([[31.5, 47.5, 31.5]])[0]
        np.testing.assert_allclose(centre, [9.5, 19.5, 15.5])
        assert pair.canvas_transforms[0].scale * 2 == pytest.approx(1)

    def test_a_coarser_copy_shows_the_same_positions(self, drawn):
        array = drawn.texture((64, 64))
        pair = PreparedPair.from_images(
            *[drawn.image(array)] * 2, working_size=64, device=choose_device("cpu")
        )
        pair.add_label_maps((label_map(a=(8, 8)), label_map(a=(16, 4))))
        marks = LandmarkSet(SCHEMA, [Landmark("a", (15.5, 11.5), Status.PLACED)])
        pair.add_landmarks(marks, marks)
        small = pair.downsampled(4)
        assert small.shape == (8, 8)
        # The middle of the square of the fixed label: rows and columns 8 to 23 of 64.
        cells = torch.argwhere(small.regions.fixed[0, 0] > 0.5).float()
        assert (cells.mean(0) * 8 + 3.5).tolist() == pytest.approx([15.5, 15.5])
        assert ((small.landmarks.fixed[0, 0] + 0.5) * 8 - 0.5).tolist() == pytest.approx([15.5, 11.5])
        assert pair.downsampled(1) is pair
