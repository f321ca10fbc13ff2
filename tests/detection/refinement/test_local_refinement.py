"""Refinement of coarse positions to a fraction of a pixel, and its consensus."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.detection.embedding.embedding import Embedding, EmbeddingConfig
from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.refinement import local_refinement as module
from napari_landmark.detection.refinement.local_refinement import (
    RefinedMatches,
    build_local_refiner,
    embedding_prior,
    neighbour_offsets,
    refine_positions,
    weighted_geometric_median,
)
from napari_landmark.detection.refinement.patch_embedding import PatchEmbeddingConfig

PRIOR = 8.0
SHIFTS = {2: [(0, 0), (5, -7), (2.3, -1.6)], 3: [(0, 0, 0), (3, -4, 2), (1.4, -2.3, 0.7)]}
CANVASES = {2: (128, 96), 3: (48, 64, 48)}
WINDOWS = {2: 64, 3: 48}


@pytest.fixture(params=[2, 3], ids=["2-D", "3-D"])
def dims(request):
    return request.param


@pytest.fixture
def world(dims, textured_cohort):
    return textured_cohort(SHIFTS[dims], CANVASES[dims])


@pytest.fixture
def network(dims, pixel_patch_embedding, monkeypatch):
    if dims == 3:
        monkeypatch.setattr(module, "_COPIES", 4)  # for the sake of time
    return pixel_patch_embedding(dims, WINDOWS[dims])


def described(network, world, cpu, *templates):
    return build_local_refiner(network, world, [Template(k, positions) for k, positions in templates], cpu)


def found_well(world, number, found, *, but=()):
    """Along each axis within half a pixel on average, and little more than half a cell at most."""
    off = np.abs(np.delete(found.positions - world.truth[number], but, axis=0))
    return off.mean() < 0.5 and off.max() < 1.25


class TestFinding:
    def test_the_template_in_itself(self, world, network, cpu):
        refiner = described(network, world, cpu, (0, world.truth[0]))
        found = refine_positions(refiner, world.working(0), world.truth[0], cpu, prior=PRIOR)
        assert found_well(world, 0, found)
        assert (found.consensus > 0.7).all()

    @pytest.mark.parametrize("number", [1, 2], ids=["whole pixels", "parts of pixels"])
    def test_a_shifted_template_from_a_place_nearby(self, world, network, cpu, number):
        refiner = described(network, world, cpu, (0, world.truth[0]))
        rng = np.random.default_rng(0)
        for _ in range(3):
            away = rng.normal(size=world.truth[0].shape)
            away *= 4 / np.linalg.norm(away, axis=1, keepdims=True)
            expected = world.truth[number] + away
            found = refine_positions(refiner, world.working(number), expected, cpu, prior=PRIOR)
            assert found_well(world, number, found)
            assert (found.consensus > 0.6).all()

    def test_another_image_as_the_template(self, world, network, cpu):
        # Where the landmark lies between pixels of the template, too.
        refiner = described(network, world, cpu, (2, world.truth[2]))
        found = refine_positions(refiner, world.working(1), world.truth[1] + 3, cpu, prior=PRIOR)
        assert found_well(world, 1, found)

    def test_what_repeats_is_found_where_it_is_expected(self, textured_cohort, pixel_patch_embedding, cpu):
        world = textured_cohort([(0, 0)], (24, 24))
        world.images, world.canvas = [np.tile(world.images[0], (5, 5))], (120, 120)
        position = np.array([[50.0, 58.0]])
        refiner = described(pixel_patch_embedding(2, 96), world, cpu, (0, position))
        for away in ((0, 0), (24, 0), (0, -24), (24, 24)):
            expected = position + away + [[3.0, -2.0]]
            found = refine_positions(refiner, world.working(0), expected, cpu, prior=PRIOR)
            assert np.linalg.norm(found.positions - position - away) < 1

    def test_a_narrow_prior_holds_back(self, world, network, cpu):
        refiner = described(network, world, cpu, (0, world.truth[0]))
        expected = world.truth[1] + 4
        distance = [
            np.linalg.norm(
                refine_positions(refiner, world.working(1), expected, cpu, prior=p).positions - expected,
                axis=1,
            )
            for p in (0.2, PRIOR)
        ]
        assert (distance[0] < 2).all()
        assert (distance[1] > 3).all()

    def test_close_to_the_border_and_beyond(self, world, network, cpu):
        refiner = described(network, world, cpu, (0, world.truth[0]))
        expected = np.array([[0.0, 0, 0], [1e4, 3, 5], [-300, -300, -300], [40, 1e6, -1e6]])[
            :, : len(world.canvas)
        ]
        found = refine_positions(refiner, world.working(1), expected, cpu, prior=PRIOR)
        assert np.isfinite(found.positions).all()
        assert ((found.consensus >= 0) & (found.consensus <= 1)).all()
        size = np.array(world.canvas)
        assert (
            (found.positions > -network.config.window) & (found.positions < size + network.config.window)
        ).all()

    def test_where_something_else_is_there_is_little_support(self, world, network, cpu):
        refiner = described(network, world, cpu, (0, world.truth[0]))
        right = refine_positions(refiner, world.working(1), world.truth[1], cpu, prior=PRIOR)
        other = world.working(1).copy()[::-1].copy()
        wrong = refine_positions(refiner, other, world.truth[1], cpu, prior=PRIOR)
        assert wrong.consensus.mean() < right.consensus.mean() - 0.4


class TestTemplates:
    def test_what_no_template_shows_stays_where_it_was_expected(self, world, network, cpu):
        known = world.truth[0].copy()
        known[1] = np.nan
        refiner = described(network, world, cpu, (0, known))
        expected = world.truth[1] + 2.25
        found = refine_positions(refiner, world.working(1), expected, cpu, prior=PRIOR)
        np.testing.assert_allclose(found.positions[1], expected[1], atol=1e-4)
        assert found.consensus[1] == 0
        assert found_well(world, 1, found, but=[1])
        assert (np.delete(found.consensus, 1) > 0.6).all()

    def test_what_one_template_lacks_the_other_gives(self, world, network, cpu):
        first, second = world.truth[0].copy(), world.truth[2].copy()
        first[[0, 1]], second[3] = np.nan, np.nan
        refiner = described(network, world, cpu, (0, first), (2, second))
        assert refiner.descriptors.offsets.shape == (2, 4, len(world.canvas))
        assert refiner.descriptors.offsets.isnan().any(-1).tolist() == [
            [True, True, False, False],
            [False, False, False, True],
        ]
        found = refine_positions(refiner, world.working(1), world.truth[1] + 2, cpu, prior=PRIOR)
        assert found_well(world, 1, found)
        assert (found.consensus > 0.6).all()

    def test_the_majority_wins(self, world, network, cpu):
        wrong = world.truth[2].copy()
        wrong[2] += 7  # one of three persons marked another place
        refiner = described(network, world, cpu, (0, world.truth[0]), (1, world.truth[1]), (2, wrong))
        found = refine_positions(refiner, world.working(1), world.truth[1] + 1, cpu, prior=PRIOR)
        assert found_well(world, 1, found)

    def test_small_disagreements_are_averaged(self, world, network, cpu):
        apart = np.zeros(len(world.canvas))
        apart[1] = 1.5
        refiner = described(network, world, cpu, (0, world.truth[0] - apart), (2, world.truth[2] + apart))
        found = refine_positions(refiner, world.working(1), world.truth[1], cpu, prior=PRIOR)
        assert found_well(world, 1, found)


class TestDescribing:
    def test_the_offset_is_where_the_landmark_lies_in_its_window(self, world, network, cpu):
        refiner = described(network, world, cpu, (0, world.truth[0]))
        offsets = refiner.descriptors.offsets[0].numpy()
        middle = (network.config.window - 1) / 2
        assert (np.abs(offsets - middle) <= 0.5 + 1e-4).all()
        np.testing.assert_allclose(
            offsets - np.round(offsets), world.truth[0] - np.round(world.truth[0]), atol=1e-4
        )

    def test_vectors_have_length_one_and_maps_are_the_middle(self, world, network, cpu):
        refiner = described(network, world, cpu, (0, world.truth[0]), (1, world.truth[1]))
        dims, size = len(world.canvas), network.config.size
        for level, stride in enumerate(network.strides):
            vectors, maps = refiner.descriptors.vectors[level], refiner.descriptors.maps[level]
            count = len(refiner.descriptors.around)
            assert vectors.shape == (2, 4, count, size)
            torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(2, 4, count))
            assert maps.shape == (2, 4, size, *[{2: 48, 3: 32}[dims] // stride] * dims)

    def test_nothing_is_drawn_that_a_training_would_miss(self, world, network, cpu):
        before = torch.get_rng_state()
        first = described(network, world, cpu, (0, world.truth[0]))
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(123)
        second = described(network, world, cpu, (0, world.truth[0]))
        for kind in ("vectors", "maps"):
            parts = (getattr(refiner.descriptors, kind) for refiner in (first, second))
            assert all(torch.equal(a, b) for a, b in zip(*parts, strict=True))

    def test_in_a_copy_the_landmark_lies_where_the_copy_has_it(self, world, network, cpu, monkeypatch):
        shifted = dataclasses.replace(module._COPY, shift=0.1)
        monkeypatch.setattr(module, "_COPY", shifted)
        refiner = described(network, world, cpu, (0, world.truth[0]))
        found = refine_positions(refiner, world.working(1), world.truth[1], cpu, prior=PRIOR)
        assert found_well(world, 1, found)
        assert (found.consensus > 0.6).all()

    def test_the_image_is_not_changed(self, world, network, cpu):
        image = world.images[0].copy()
        described(network, world, cpu, (0, world.truth[0]))
        assert np.array_equal(world.images[0], image)


class TestMatches:
    found = RefinedMatches(np.full((5, 2), 10.0), np.array([1.0, 0.75, 0.5, 0.25, 0.0]))

    def test_between_what_was_expected_and_what_was_found(self):
        expected = np.full((5, 2), 4.0)
        between = self.found.between(expected)
        np.testing.assert_allclose(between[0], 10)  # full support: the match itself
        assert (np.diff(between[:, 0]) < 0).all()
        assert ((between > 4) & (between <= 10)).all()
        assert between[-1, 0] < 8  # none: nearer to what was expected
        assert (expected == 4).all()

    def test_between_the_same_places_is_that_place(self):
        same = dataclasses.replace(self.found, positions=np.full((5, 2), 3.0))
        np.testing.assert_allclose(same.between(np.full((5, 2), 3.0)), 3)


class TestGeometricMedian:
    offsets = st.lists(st.tuples(*[st.floats(-30, 30)] * 2), min_size=1, max_size=25)

    @given(offset=st.tuples(*[st.floats(-30, 30)] * 3), count=st.integers(1, 30))
    def test_of_equal_offsets(self, offset, count):
        offsets = torch.tensor(offset).expand(1, count, 3)
        weights = torch.linspace(0.1, 1, count)[None]
        torch.testing.assert_close(weighted_geometric_median(offsets, weights)[0], torch.tensor(offset))

    @given(offsets, st.tuples(*[st.floats(-50, 50)] * 2))
    def test_moves_with_all_offsets(self, offsets, by):
        offsets, by = torch.tensor(offsets, dtype=torch.float64)[None], torch.tensor(by, dtype=torch.float64)
        weights = torch.linspace(0.2, 1, offsets.shape[1], dtype=torch.float64)[None]
        torch.testing.assert_close(
            weighted_geometric_median(offsets + by, weights), weighted_geometric_median(offsets, weights) + by
        )

    @given(offsets)
    def test_lies_among_the_offsets(self, offsets):
        offsets = torch.tensor(offsets, dtype=torch.float64)[None]
        common = weighted_geometric_median(offsets, torch.ones(offsets.shape[:2], dtype=torch.float64))
        assert (common >= offsets.amin(1) - 1e-9).all()
        assert (common <= offsets.amax(1) + 1e-9).all()

    def test_outliers_do_not_count(self):
        offsets = torch.tensor([[1.0, 2.0]]).repeat(10, 1)
        offsets[:3] += 20
        common = weighted_geometric_median(offsets[None], torch.ones(1, 10))
        assert (common - torch.tensor([1.0, 2.0])).norm() < 1  # the mean is 8 pixels away

    def test_what_has_no_weight_does_not_count(self):
        offsets = torch.tensor([[[0.0, 0.0], [9.0, 9.0], [9.0, 9.0]]])
        torch.testing.assert_close(
            weighted_geometric_median(offsets, torch.tensor([[1.0, 0.0, 0.0]])),
            torch.zeros(1, 2),
            atol=1e-4,
            rtol=0,
        )


class TestPointsAround:
    @pytest.mark.parametrize(
        ("dims", "window", "count", "longest"), [(2, 64, 25, 12), (2, 32, 25, 6), (3, 64, 27, 6)]
    )
    def test_a_grid_that_the_window_holds(self, dims, window, count, longest):
        around = neighbour_offsets(PatchEmbeddingConfig(dims, window))
        assert around.shape == (count, dims)
        assert around.abs().max() == longest

    def test_the_landmark_itself_is_one_of_them(self, dims):
        assert (neighbour_offsets(PatchEmbeddingConfig(dims)) == 0).all(1).sum() == 1

    def test_on_all_sides_alike(self, dims):
        around = neighbour_offsets(PatchEmbeddingConfig(dims))
        assert (around.sum(0) == 0).all()
        assert {tuple(offset) for offset in around.tolist()} == {
            tuple(offset) for offset in (-around).tolist()
        }
        assert len({tuple(offset) for offset in around.tolist()}) == len(around)

    def test_they_make_up_for_a_landmark_that_looks_different(self, world, network, cpu):
        # The structure at the landmark itself is hidden, as by an implant; what is around it is not.
        refiner = described(network, world, cpu, (0, world.truth[0]))
        image, middle = world.working(1), np.round(world.truth[1][0]).astype(int)
        image[tuple(slice(m - 3, m + 4) for m in middle)] = 0.95
        found = refine_positions(refiner, image, world.truth[1] + 2, cpu, prior=PRIOR)
        assert np.linalg.norm(found.positions[0] - world.truth[1][0]) < 1.5

    def test_most_of_them_win(self, textured_cohort, pixel_patch_embedding, cpu):
        # A strip on one side moved otherwise: a fifth of the points goes astray, and a mean would follow.
        world = textured_cohort([(0, 0)], (128, 128))
        position = np.array([[64.0, 64.0]])
        refiner = described(pixel_patch_embedding(2, 64), world, cpu, (0, position))
        image = world.working(0)
        image[:, 74:] = np.roll(image, 9, axis=0)[:, 74:]
        found = refine_positions(refiner, image, position + 2, cpu, prior=PRIOR)
        assert np.linalg.norm(found.positions - position) < 0.75


class TestConsensus:
    """Share of the landmark and its neighbouring points that refiner alike and return to their start."""

    def consensus(self, refiner, image, position, cpu):
        return refine_positions(refiner, image, position, cpu, prior=PRIOR).consensus[0]

    @pytest.fixture
    def scene(self, textured_cohort, pixel_patch_embedding, cpu):
        world = textured_cohort([(0, 0)], (128, 128))
        position = np.array([[64.0, 64.0]])
        return described(pixel_patch_embedding(2, 64), world, cpu, (0, position)), world.working(0), position

    def test_noise_takes_it_although_the_way_back_is_right(self, scene, cpu):
        refiner, image, position = scene
        noisy = image + np.random.default_rng(0).normal(0, 0.06, image.shape).astype(np.float32)
        found = refine_positions(refiner, noisy, position, cpu, prior=2.0)
        assert np.linalg.norm(found.positions - position) < 1
        assert found.consensus[0] < 0.85 * self.consensus(refiner, image, position, cpu)

    def test_a_way_back_that_ends_elsewhere_takes_it_although_all_looks_alike(self, scene, cpu, monkeypatch):
        refiner, image, position = scene
        before = self.consensus(refiner, image, position, cpu)
        home = dataclasses.replace(refiner.descriptors, offsets=refiner.descriptors.offsets + 6)
        moved = dataclasses.replace(refiner, descriptors=home)  # vectors of one place, said to be of another
        assert self.consensus(moved, image, position, cpu) < 0.3 * before


def test_the_prior_of_matches_is_three_quarters_of_a_cell_on_the_working_grid():
    embedding = Embedding(EmbeddingConfig(2, 2, size=8, channels=(4,) * 5))  # stride 4, downsampled twice
    assert embedding_prior(embedding) == 6
