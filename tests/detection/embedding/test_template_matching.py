"""Landmarks of the templates matched in one image: positions, similarity, cycle error."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_landmark.detection.embedding import template_matching
from napari_landmark.detection.embedding.feature_extractor import FeatureExtractor
from napari_landmark.detection.embedding.template_matching import (
    Template,
    cycle_weight,
    describe_templates,
    match_templates,
)
from napari_landmark.learning.device import Device

CPU = Device(torch.device("cpu"), None)


@pytest.fixture
def world(perfect_cohort):
    return perfect_cohort()


def described(world, *templates):
    return describe_templates(world.embedding, world, list(templates), CPU)


def maps_of(world, number):
    return world.embedding.embed(torch.from_numpy(world.working(number))[None, None])


class TestDescribe:
    @pytest.mark.parametrize("at_once", [1, 2, 5])
    def test_templates_are_embedded_a_part_at_a_time(self, world, monkeypatch, at_once):
        templates = [Template(k, world.truth[k]) for k in range(5)]
        whole = described(world, *templates)
        monkeypatch.setattr(template_matching, "_BATCH_PIXELS", at_once * 128 * 96)
        sizes, honest = [], world.embedding.embed
        monkeypatch.setattr(
            world.embedding, "embed", lambda images: (sizes.append(len(images)), honest(images))[1]
        )
        parts = described(world, *templates)
        assert max(sizes) == at_once
        assert sum(sizes) == 5
        for first, second in zip(
            [*whole.vectors, *whole.maps, whole.positions],
            [*parts.vectors, *parts.maps, parts.positions],
            strict=True,
        ):
            torch.testing.assert_close(first, second)


class TestOneTemplate:
    @pytest.mark.parametrize(("count", "canvas"), [(12, (128, 96)), (3, (48, 64, 48))], ids=["2-D", "3-D"])
    def test_every_image(self, perfect_cohort, count, canvas):
        world = perfect_cohort(count=count, canvas=canvas)
        assert isinstance(world.embedding, FeatureExtractor)
        descriptors = described(world, Template(0, world.truth[0]))
        for number in range(count):
            match = match_templates(world.embedding, descriptors, maps_of(world, number))
            assert match.positions.shape == world.truth[number].shape
            assert np.linalg.norm(match.positions - world.truth[number], axis=-1).max() < 1.5
            assert (match.similarity > 0.5).all()
            assert match.cycle_error.max() < 2
            assert match.heatmaps is None

    def test_the_weight_falls_with_the_cycle_error(self):
        weights = cycle_weight(np.array([0.0, 2.0, 8.0, 30.0, 1000.0]))
        assert (np.diff(weights) <= 0).all()
        assert weights[0] > 0.9
        assert 0 < weights[-1] < 0.1


class TestTemplates:
    def test_the_majority_wins(self, world):
        wrong = world.truth[2].copy()
        wrong[4] += 25  # one of three annotators marked another place
        descriptors = described(
            world, Template(0, world.truth[0]), Template(1, world.truth[1]), Template(2, wrong)
        )
        for number in (3, 4, 5):
            positions, *_ = match_templates(world.embedding, descriptors, maps_of(world, number))
            assert np.linalg.norm(positions - world.truth[number], axis=-1).max() < 2

    def test_small_disagreements_are_averaged(self, world):
        shifted = [world.truth[k] + [[0.0, dx]] for k, dx in ((1, -2.0), (2, 2.0))]
        descriptors = described(world, Template(1, shifted[0]), Template(2, shifted[1]))
        positions, *_ = match_templates(world.embedding, descriptors, maps_of(world, 5))
        assert np.linalg.norm(positions - world.truth[5], axis=-1).max() < 2

    def test_what_one_template_lacks_the_other_gives(self, world):
        first, second = world.truth[0].copy(), world.truth[1].copy()
        first[[2, 3]] = np.nan
        second[[5]] = np.nan
        descriptors = described(world, Template(0, first), Template(1, second))
        positions, similarity, cycle, heat = match_templates(
            world.embedding, descriptors, maps_of(world, 6), keep_heatmaps=True
        )
        assert np.linalg.norm(positions - world.truth[6], axis=-1).max() < 2
        assert (similarity > 0.5).all()
        assert (cycle < 5).all()
        assert heat.isfinite().all()

    def test_what_no_template_has_gets_no_weight(self, world):
        known = world.truth[0].copy()
        known[1] = np.nan
        descriptors = described(world, Template(0, known))
        match = match_templates(world.embedding, descriptors, maps_of(world, 4))
        assert np.isfinite(match.positions).all()
        weights = cycle_weight(match.cycle_error)
        assert weights[1] < 0.05
        assert (np.delete(weights, 1) > 0.5).all()

    def test_heatmaps_peak_at_the_position(self, world):
        descriptors = described(world, Template(0, world.truth[0]))
        positions, _, _, heat = match_templates(
            world.embedding, descriptors, maps_of(world, 3), keep_heatmaps=True
        )
        stride = world.embedding.strides[-1]
        index = np.array(np.unravel_index(heat.flatten(1).argmax(1).numpy(), heat.shape[1:])).T
        assert np.abs((index + 0.5) * stride - 0.5 - positions).max() <= stride
