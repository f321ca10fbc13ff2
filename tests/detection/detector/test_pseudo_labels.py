"""Where a detector's labels come from, in which images, and how far each is trusted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.detection.detector import pseudo_labels as labelling
from napari_landmark.detection.detector.detector import DetectorConfig, DetectorNetwork
from napari_landmark.detection.detector.pseudo_labels import (
    MAX_PSEUDO_LABELLED,
    PseudoLabeller,
    PseudoLabels,
    pseudo_labelled_images,
)
from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.refinement.local_refinement import (
    build_local_refiner,
    detector_prior,
    embedding_prior,
)
from napari_landmark.learning.batches import load_batch
from napari_landmark.progress import CancelToken


class TestTaughtImages:
    @given(st.integers(1, 5 * MAX_PSEUDO_LABELLED), st.data())
    def test_spread_over_the_cohort_with_all_templates(self, count, data):
        templates = data.draw(st.lists(st.integers(0, count - 1), max_size=4, unique=True))
        numbers = pseudo_labelled_images(count, templates)
        assert numbers == sorted(set(numbers))
        assert set(templates) <= set(numbers) <= set(range(count))
        assert len(numbers) <= MAX_PSEUDO_LABELLED + len(templates)
        assert len(numbers) >= min(count, MAX_PSEUDO_LABELLED)
        assert max(np.diff([-1, *numbers, count])) <= max(1, -(-count // MAX_PSEUDO_LABELLED) + 1)

    def test_all_of_a_small_cohort(self):
        assert pseudo_labelled_images(7, [3]) == list(range(7))
        assert pseudo_labelled_images(1, [0]) == [0]


class World:
    """A cohort, what finds landmarks in it, and one stage of finding them."""

    def __init__(self, cohort, cpu, find):
        self.cohort, self.cpu, self.find = cohort, cpu, find

    def __call__(self, progress=None, cancel=None):
        template = Template(3, self.cohort.truth[3])
        return self.find(PseudoLabeller(self.cohort, [template], self.cpu, progress, cancel))


@pytest.fixture
def matching(perfect_cohort, cpu):
    cohort = perfect_cohort()
    return World(cohort, cpu, lambda labeller: labeller.match(cohort.embedding))


@pytest.fixture
def detector():
    torch.manual_seed(0)
    return DetectorNetwork(DetectorConfig(9, 2, channels=(4, 4, 8, 8, 8))).eval()


@pytest.fixture
def detecting(perfect_cohort, cpu, detector):
    return World(perfect_cohort(), cpu, lambda labeller: labeller.detect(detector, [1, 3, 4]))


@pytest.fixture
def rough():
    """PseudoLabels some pixels off in three images of five."""

    def make(cohort):
        positions = np.full(cohort.truth.shape, np.nan)
        away = np.random.default_rng(0).normal(size=positions.shape)
        away *= 4 / np.linalg.norm(away, axis=-1, keepdims=True)
        for number in (1, 3, 4):
            positions[number] = cohort.truth[number] + away[number]
        return PseudoLabels(positions, np.where(np.isnan(positions[..., 0]), 0, 0.8), 8.0)

    return make


@pytest.fixture
def looking(textured_cohort, patch_close_up, cpu, rough):
    cohort = textured_cohort([(0, 0), (3, 1), (0, 4), (-2, 5), (4, -3)])
    look = build_local_refiner(patch_close_up(), cohort, [Template(3, cohort.truth[3])], cpu)
    return World(cohort, cpu, lambda labeller: labeller.look(look, rough(cohort)))


class TestMatch:
    def test_every_image_of_a_small_cohort(self, matching):
        places = matching()
        cohort = matching.cohort
        assert places.numbers.tolist() == list(range(len(cohort)))
        assert np.linalg.norm(places.positions - cohort.truth, axis=-1).max() < 2
        assert (places.weights > 0.3).all()
        assert places.prior == embedding_prior(cohort.embedding)

    def test_a_part_of_a_large_cohort(self, matching, monkeypatch):
        whole = matching()
        monkeypatch.setattr(labelling, "MAX_PSEUDO_LABELLED", 6)
        part = matching()
        numbers = pseudo_labelled_images(12, [3])
        assert 6 <= len(numbers) <= 7
        assert part.numbers.tolist() == numbers
        others = np.setdiff1d(np.arange(12), numbers)
        assert np.isnan(part.positions[others]).all()
        assert (part.weights[others] == 0).all()
        np.testing.assert_allclose(part.positions[numbers], whole.positions[numbers], atol=1)
        assert (part.weights[numbers] > 0.3).all()


class TestDetect:
    def test_what_the_detector_says_where_it_is_asked(self, detecting, detector, cpu):
        places = detecting()
        assert places.numbers.tolist() == [1, 3, 4]
        for number in (1, 3, 4):
            votes = detector.vote(load_batch(detecting.cohort, [number], 1, cpu), cpu)
            np.testing.assert_array_equal(places.positions[number], votes.positions[0].numpy())
        assert (places.weights[[1, 3, 4]] == 1).all()
        assert (np.delete(places.weights, [1, 3, 4], axis=0) == 0).all()
        assert places.prior == detector_prior(detector)


class TestLook:
    def test_places_come_nearer(self, looking, rough):
        cohort = looking.cohort
        before, places = rough(cohort), looking()
        assert places.numbers.tolist() == [1, 3, 4]
        assert places.prior == before.prior
        off = np.linalg.norm((places.positions - cohort.truth)[[1, 3, 4]], axis=-1)
        assert off.mean() < 0.75
        assert off.max() < 2
        # No trust is won, and little is lost where the surroundings lead back, too.
        assert (places.weights <= before.weights).all()
        assert places.weights[[1, 3, 4]].mean() > 0.6 * 0.8
        assert (places.weights[[0, 2]] == 0).all()
        assert before.support is None
        assert np.isnan(places.support[[0, 2]]).all()
        assert (places.support[[1, 3, 4]] > 0.4).all()

    def test_another_structure_loses_its_trust(self, looking):
        right = looking().weights[1]
        looking.cohort.images[1] = np.ascontiguousarray(looking.cohort.images[1][::-1, ::-1])
        wrong, support = looking().weights[1], looking().support
        assert support[1].mean() < support[3].mean() - 0.3
        assert wrong.mean() < 0.7 * right.mean()
        assert (wrong > 0).all()

    def test_what_was_known_is_not_changed(self, textured_cohort, patch_close_up, cpu, rough):
        cohort = textured_cohort([(0, 0), (3, 1), (0, 4), (-2, 5), (4, -3)])
        template = Template(3, cohort.truth[3])
        look, places = build_local_refiner(patch_close_up(), cohort, [template], cpu), rough(cohort)
        PseudoLabeller(cohort, [template], cpu).look(look, places)
        np.testing.assert_array_equal(places.positions, rough(cohort).positions)
        np.testing.assert_array_equal(places.weights, rough(cohort).weights)


@pytest.mark.parametrize("stage", ["matching", "detecting", "looking"])
class TestWork:
    def test_progress(self, stage, request):
        events = []
        request.getfixturevalue(stage)(progress=events.append)
        assert len({event.stage for event in events}) == 1
        fractions = [event.fraction for event in events]
        assert fractions == sorted(fractions)
        assert 0 < fractions[0] <= fractions[-1] <= 1

    def test_nothing_comes_of_it_once_it_is_stopped(self, stage, request):
        token = CancelToken()
        token.cancel()
        assert request.getfixturevalue(stage)(cancel=token) is None

    def test_nor_where_it_is_stopped_on_the_way(self, stage, request):
        token, events = CancelToken(), []

        def stop(event):
            events.append(event)
            token.cancel()

        assert request.getfixturevalue(stage)(progress=stop, cancel=token) is None
        assert len(events) == 1


def test_images_that_were_looked_at():
    positions = np.full((4, 2, 2), np.nan)
    positions[1], positions[3, 0] = 5, 7
    assert PseudoLabels(positions, np.zeros((4, 2)), 1.0).numbers.tolist() == [1, 3]
