"""Pseudo-labels found by matching, by a detector, and by refinement; their weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_landmark.detection.detector import pseudo_labels
from napari_landmark.detection.detector.detector import DetectorConfig, DetectorNetwork, detector_prior
from napari_landmark.detection.detector.pseudo_labeller import PseudoLabeller
from napari_landmark.detection.detector.pseudo_labels import PseudoLabels, pseudo_labelled_images
from napari_landmark.detection.embedding.template_matching import Template
from napari_landmark.detection.refinement.local_refinement import build_local_refiner, embedding_prior
from napari_landmark.learning.batches import load_batch
from napari_landmark.progress import CancelToken


class World:
    """A cohort, and one search for pseudo-labels in it."""

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
def refining(textured_cohort, pixel_patch_embedding, cpu, rough):
    cohort = textured_cohort([(0, 0), (3, 1), (0, 4), (-2, 5), (4, -3)])
    refiner = build_local_refiner(pixel_patch_embedding(), cohort, [Template(3, cohort.truth[3])], cpu)
    return World(cohort, cpu, lambda labeller: labeller.refine(refiner, rough(cohort)))


class TestMatch:
    def test_every_image_of_a_small_cohort(self, matching):
        labels = matching()
        cohort = matching.cohort
        assert labels.numbers.tolist() == list(range(len(cohort)))
        assert np.linalg.norm(labels.positions - cohort.truth, axis=-1).max() < 2
        assert (labels.weights > 0.3).all()
        assert labels.prior == embedding_prior(cohort.embedding)

    def test_a_part_of_a_large_cohort(self, matching, monkeypatch):
        whole = matching()
        monkeypatch.setattr(pseudo_labels, "MAX_PSEUDO_LABELLED", 6)
        part = matching()
        numbers = pseudo_labelled_images(12, [3])
        assert 6 <= len(numbers) <= 7
        assert part.numbers.tolist() == numbers
        others = np.setdiff1d(np.arange(12), numbers)
        assert np.isnan(part.positions[others]).all()
        assert (part.weights[others] == 0).all()
        np.testing.assert_allclose(part.positions[numbers], whole.positions[numbers], atol=1)
        assert (part.weights[numbers] > 0.3).all()


class TestAnnotatedImages:
    """Annotated images that are no template: their annotation is the label, at no cost."""

    def labeller(self, cohort, cpu, annotated, progress=None):
        return PseudoLabeller(cohort, [Template(3, cohort.truth[3])], cpu, progress, annotated=annotated)

    @pytest.fixture
    def annotated(self, textured_cohort):
        """Number 1 annotated away from what is there, number 4 incompletely."""
        cohort = textured_cohort([(0, 0), (3, 1), (0, 4), (-2, 5), (4, -3)])
        part = cohort.truth[4].copy()
        part[0] = np.nan
        return cohort, [Template(3, cohort.truth[3]), Template(1, cohort.truth[1] + 9.0), Template(4, part)]

    def test_matching_keeps_them(self, perfect_cohort, cpu):
        cohort = perfect_cohort()
        wanted = [Template(k, cohort.truth[k] + 0.25) for k in (5, 6)]
        seen, honest = [], cohort.embedding.embed
        cohort.embedding.embed = lambda images: (seen.append(len(images)), honest(images))[1]
        labeller = self.labeller(cohort, cpu, [Template(3, cohort.truth[3]), *wanted])
        labels = labeller.match(cohort.embedding)
        assert labels.annotated == (3, 5, 6)
        assert sum(seen) == 1 + len(cohort) - 2  # the template described, all but two images searched
        for image in wanted:
            np.testing.assert_array_equal(labels.positions[image.index], image.positions)
        assert np.linalg.norm(labels.positions - cohort.truth, axis=-1).max() < 2
        assert (labels.weights > 0.3).all()

    def test_images_beyond_those_that_are_spread_over_the_cohort(self, perfect_cohort, cpu, monkeypatch):
        monkeypatch.setattr(pseudo_labels, "MAX_PSEUDO_LABELLED", 3)
        cohort = perfect_cohort()
        annotated = [Template(k, cohort.truth[k]) for k in (3, 5, 6)]
        labels = self.labeller(cohort, cpu, annotated).match(cohort.embedding)
        assert {3, 5, 6} <= set(labels.numbers.tolist())

    def test_refinement_keeps_them(self, annotated, pixel_patch_embedding, cpu):
        cohort, images = annotated
        refiner = build_local_refiner(pixel_patch_embedding(), cohort, images[:1], cpu)
        positions = cohort.truth + 2.0
        positions[1] = images[1].positions
        labels = PseudoLabels(positions, np.ones(positions.shape[:2]), 8.0)
        refined = self.labeller(cohort, cpu, images).refine(refiner, labels)
        np.testing.assert_array_equal(refined.positions[1], images[1].positions)
        assert (refined.weights[1] == 1).all()
        assert np.linalg.norm(refined.positions[4] - cohort.truth[4], axis=-1).max() < 1.5

    def test_detection_keeps_them(self, annotated, detector, cpu):
        cohort, images = annotated
        labels = self.labeller(cohort, cpu, images)
        detector = DetectorNetwork(DetectorConfig(4, 2, channels=(4, 4, 8, 8, 8))).eval()
        found = labels.detect(detector, [1, 3, 4])
        np.testing.assert_array_equal(found.positions[1], images[1].positions)
        assert not np.allclose(found.positions[4], cohort.truth[4], atol=3)


class TestDetect:
    def test_the_positions_of_the_detector_in_the_given_images(self, detecting, detector, cpu):
        labels = detecting()
        assert labels.numbers.tolist() == [1, 3, 4]
        for number in (1, 3, 4):
            votes = detector.vote(load_batch(detecting.cohort, [number], 1, cpu), cpu)
            np.testing.assert_array_equal(labels.positions[number], votes.positions[0].numpy())
        assert (labels.weights[[1, 3, 4]] == 1).all()
        assert (np.delete(labels.weights, [1, 3, 4], axis=0) == 0).all()
        assert labels.prior == detector_prior(detector)


class TestRefine:
    def test_positions_are_improved(self, refining, rough):
        cohort = refining.cohort
        before, labels = rough(cohort), refining()
        assert labels.numbers.tolist() == [1, 3, 4]
        assert labels.prior == before.prior
        off = np.linalg.norm((labels.positions - cohort.truth)[[1, 3, 4]], axis=-1)
        assert off.mean() < 0.75
        assert off.max() < 2
        # No weight is gained, and little is lost where the neighbouring points agree.
        assert (labels.weights <= before.weights).all()
        assert labels.weights[[1, 3, 4]].mean() > 0.6 * 0.8
        assert (labels.weights[[0, 2]] == 0).all()
        assert before.consensus is None
        assert np.isnan(labels.consensus[[0, 2]]).all()
        assert (labels.consensus[[1, 3, 4]] > 0.4).all()

    def test_another_structure_loses_weight(self, refining):
        right = refining().weights[1]
        refining.cohort.images[1] = np.ascontiguousarray(refining.cohort.images[1][::-1, ::-1])
        found = refining()
        wrong, consensus = found.weights[1], found.consensus
        assert consensus[1].mean() < consensus[3].mean() - 0.3
        assert wrong.mean() < 0.7 * right.mean()
        assert (wrong > 0).all()

    def test_the_given_labels_are_not_changed(self, textured_cohort, pixel_patch_embedding, cpu, rough):
        cohort = textured_cohort([(0, 0), (3, 1), (0, 4), (-2, 5), (4, -3)])
        template = Template(3, cohort.truth[3])
        refiner, labels = build_local_refiner(pixel_patch_embedding(), cohort, [template], cpu), rough(cohort)
        PseudoLabeller(cohort, [template], cpu).refine(refiner, labels)
        np.testing.assert_array_equal(labels.positions, rough(cohort).positions)
        np.testing.assert_array_equal(labels.weights, rough(cohort).weights)


@pytest.mark.parametrize("stage", ["matching", "detecting", "refining"])
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
