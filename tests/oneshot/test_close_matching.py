"""Landmarks of templates are found again in windows, to a fraction of a pixel."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from napari_landmark.oneshot import close_matching
from napari_landmark.oneshot.close_matching import (
    CloseMatches,
    describe_closely,
    look_closely,
    prior_of_detector,
    prior_of_embedding,
)
from napari_landmark.oneshot.detector import DetectorConfig, DetectorNetwork
from napari_landmark.oneshot.embedding import Embedding, EmbeddingConfig
from napari_landmark.oneshot.pseudolabels import Template

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
def network(dims, patch_close_up, monkeypatch):
    if dims == 3:
        monkeypatch.setattr(close_matching, "_COPIES", 4)  # for the sake of time
    return patch_close_up(dims, WINDOWS[dims])


def described(network, world, cpu, *templates):
    return describe_closely(network, world, [Template(k, positions) for k, positions in templates], cpu)


def found_well(world, number, found, *, but=()):
    """Along each axis within half a pixel on average, and little more than half a cell at most."""
    off = np.abs(np.delete(found.positions - world.truth[number], but, axis=0))
    return off.mean() < 0.5 and off.max() < 1.25


class TestFinding:
    def test_the_template_in_itself(self, world, network, cpu):
        look = described(network, world, cpu, (0, world.truth[0]))
        found = look_closely(look, world.working(0), world.truth[0], cpu, prior=PRIOR)
        assert found_well(world, 0, found)
        assert (found.similarity > 0.8).all()
        assert (found.cycle < 1.5).all()
        assert (found.trust() > 0.8).all()

    @pytest.mark.parametrize("number", [1, 2], ids=["whole pixels", "parts of pixels"])
    def test_a_shifted_template_from_a_place_nearby(self, world, network, cpu, number):
        look = described(network, world, cpu, (0, world.truth[0]))
        rng = np.random.default_rng(0)
        for _ in range(3):
            away = rng.normal(size=world.truth[0].shape)
            away *= 4 / np.linalg.norm(away, axis=1, keepdims=True)
            expected = world.truth[number] + away
            found = look_closely(look, world.working(number), expected, cpu, prior=PRIOR)
            assert found_well(world, number, found)
            assert (found.cycle < 2).all()

    def test_another_image_as_the_template(self, world, network, cpu):
        # Where the landmark lies between pixels of the template, too.
        look = described(network, world, cpu, (2, world.truth[2]))
        found = look_closely(look, world.working(1), world.truth[1] + 3, cpu, prior=PRIOR)
        assert found_well(world, 1, found)

    def test_what_repeats_is_found_where_it_is_expected(self, textured_cohort, patch_close_up, cpu):
        world = textured_cohort([(0, 0)], (24, 24))
        world.images, world.canvas = [np.tile(world.images[0], (5, 5))], (120, 120)
        position = np.array([[50.0, 58.0]])
        look = described(patch_close_up(2, 96), world, cpu, (0, position))
        for away in ((0, 0), (24, 0), (0, -24), (24, 24)):
            expected = position + away + [[3.0, -2.0]]
            found = look_closely(look, world.working(0), expected, cpu, prior=PRIOR)
            assert np.linalg.norm(found.positions - position - away) < 1

    def test_a_narrow_prior_holds_back(self, world, network, cpu):
        look = described(network, world, cpu, (0, world.truth[0]))
        expected = world.truth[1] + 4
        distance = [
            np.linalg.norm(
                look_closely(look, world.working(1), expected, cpu, prior=p).positions - expected, axis=1
            )
            for p in (0.2, PRIOR)
        ]
        assert (distance[0] < 2).all()
        assert (distance[1] > 3).all()

    def test_close_to_the_border_and_beyond(self, world, network, cpu):
        look = described(network, world, cpu, (0, world.truth[0]))
        expected = np.array([[0.0, 0, 0], [1e4, 3, 5], [-300, -300, -300], [40, 1e6, -1e6]])[
            :, : len(world.canvas)
        ]
        found = look_closely(look, world.working(1), expected, cpu, prior=PRIOR)
        assert np.isfinite(found.positions).all()
        assert np.isfinite(found.cycle).all()
        size = np.array(world.canvas)
        assert (
            (found.positions > -network.config.window) & (found.positions < size + network.config.window)
        ).all()

    def test_where_something_else_is_the_way_back_goes_astray(self, world, network, cpu):
        look = described(network, world, cpu, (0, world.truth[0]))
        right = look_closely(look, world.working(1), world.truth[1], cpu, prior=PRIOR)
        other = world.working(1).copy()[::-1].copy()
        wrong = look_closely(look, other, world.truth[1], cpu, prior=PRIOR)
        assert wrong.trust().mean() < right.trust().mean() - 0.2
        assert wrong.similarity.mean() < right.similarity.mean() - 0.05


class TestTemplates:
    def test_what_no_template_shows_stays_where_it_was_expected(self, world, network, cpu):
        known = world.truth[0].copy()
        known[1] = np.nan
        look = described(network, world, cpu, (0, known))
        expected = world.truth[1] + 2.25
        found = look_closely(look, world.working(1), expected, cpu, prior=PRIOR)
        np.testing.assert_allclose(found.positions[1], expected[1], atol=1e-4)
        assert found.trust()[1] == 0
        assert found_well(world, 1, found, but=[1])
        assert (np.delete(found.trust(), 1) > 0.8).all()

    def test_what_one_template_lacks_the_other_gives(self, world, network, cpu):
        first, second = world.truth[0].copy(), world.truth[2].copy()
        first[[0, 1]], second[3] = np.nan, np.nan
        look = described(network, world, cpu, (0, first), (2, second))
        assert look.descriptors.offsets.shape == (2, 4, len(world.canvas))
        assert look.descriptors.offsets.isnan().any(-1).tolist() == [
            [True, True, False, False],
            [False, False, False, True],
        ]
        found = look_closely(look, world.working(1), world.truth[1] + 2, cpu, prior=PRIOR)
        assert found_well(world, 1, found)
        assert (found.trust() > 0.8).all()

    def test_the_majority_wins(self, world, network, cpu):
        wrong = world.truth[2].copy()
        wrong[2] += 7  # one of three persons marked another place
        look = described(network, world, cpu, (0, world.truth[0]), (1, world.truth[1]), (2, wrong))
        found = look_closely(look, world.working(1), world.truth[1] + 1, cpu, prior=PRIOR)
        assert found_well(world, 1, found)

    def test_small_disagreements_are_averaged(self, world, network, cpu):
        apart = np.zeros(len(world.canvas))
        apart[1] = 1.5
        look = described(network, world, cpu, (0, world.truth[0] - apart), (2, world.truth[2] + apart))
        found = look_closely(look, world.working(1), world.truth[1], cpu, prior=PRIOR)
        assert found_well(world, 1, found)


class TestDescribing:
    def test_the_offset_is_where_the_landmark_lies_in_its_window(self, world, network, cpu):
        look = described(network, world, cpu, (0, world.truth[0]))
        offsets = look.descriptors.offsets[0].numpy()
        middle = (network.config.window - 1) / 2
        assert (np.abs(offsets - middle) <= 0.5 + 1e-4).all()
        np.testing.assert_allclose(
            offsets - np.round(offsets), world.truth[0] - np.round(world.truth[0]), atol=1e-4
        )

    def test_vectors_have_length_one_and_maps_are_the_middle(self, world, network, cpu):
        look = described(network, world, cpu, (0, world.truth[0]), (1, world.truth[1]))
        dims, size = len(world.canvas), network.config.size
        for level, stride in enumerate(network.strides):
            vectors, maps = look.descriptors.vectors[level], look.descriptors.maps[level]
            assert vectors.shape == (2, 4, size)
            torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(2, 4))
            assert maps.shape == (2, 4, size, *[32 // stride] * dims)

    def test_nothing_is_drawn_that_a_training_would_miss(self, world, network, cpu):
        before = torch.get_rng_state()
        first = described(network, world, cpu, (0, world.truth[0]))
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(123)
        second = described(network, world, cpu, (0, world.truth[0]))
        for kind in ("vectors", "maps"):
            parts = (getattr(look.descriptors, kind) for look in (first, second))
            assert all(torch.equal(a, b) for a, b in zip(*parts, strict=True))

    def test_in_a_copy_the_landmark_lies_where_the_copy_has_it(self, world, network, cpu, monkeypatch):
        shifted = dataclasses.replace(close_matching._COPY, shift=0.1)
        monkeypatch.setattr(close_matching, "_COPY", shifted)
        look = described(network, world, cpu, (0, world.truth[0]))
        found = look_closely(look, world.working(1), world.truth[1], cpu, prior=PRIOR)
        assert found_well(world, 1, found)
        assert (found.similarity > 0.8).all()

    def test_the_image_is_not_changed(self, world, network, cpu):
        image = world.images[0].copy()
        described(network, world, cpu, (0, world.truth[0]))
        assert np.array_equal(world.images[0], image)


class TestMatches:
    found = CloseMatches(np.full((5, 2), 10.0), np.ones(5), np.array([0.0, 2.0, 4.0, 8.0, 1000.0]))

    def test_trust_falls_with_the_cycle_error(self):
        trust = self.found.trust()
        assert (np.diff(trust) <= 0).all()
        assert trust[0] == 1
        assert 0 <= trust[-1] < 0.01

    def test_between_what_was_expected_and_what_was_found(self):
        expected = np.full((5, 2), 4.0)
        between = self.found.between(expected)
        np.testing.assert_allclose(between[0], 10)  # trusted: the match itself
        assert (np.diff(between[:, 0]) <= 0).all()
        assert ((between > 4) & (between <= 10)).all()
        assert between[-1, 0] < 8  # not trusted: nearer to what was expected
        assert (expected == 4).all()

    def test_between_the_same_places_is_that_place(self):
        same = dataclasses.replace(self.found, positions=np.full((5, 2), 3.0))
        np.testing.assert_allclose(same.between(np.full((5, 2), 3.0)), 3)


def test_priors_are_in_pixels_of_the_canvas():
    fine, shrunk = (Embedding(EmbeddingConfig(2, s, size=8, channels=(4,) * 5)) for s in (1, 2))
    assert 0 < prior_of_embedding(fine) < 16
    assert prior_of_embedding(shrunk) == 2 * prior_of_embedding(fine)
    fine, shrunk = (DetectorNetwork(DetectorConfig(2, 2, s, channels=(4,) * 5)) for s in (1, 2))
    assert 0 < prior_of_detector(fine) < 16
    assert prior_of_detector(shrunk) == 2 * prior_of_detector(fine)
