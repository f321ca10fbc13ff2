"""Images proposed for correction: typical ones that differ from the annotated, and what they are expected to bring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_landmark.detection.correction_selection import expected_gain, offset_gain, propose_corrections
from napari_landmark.detection.detector.correction_offsets import CorrectionOffsets, learn_offsets

LANDMARKS = 8


@pytest.fixture
def families():
    """Three families of twenty shapes each and three odd shapes: names, positions, expected errors."""
    rng = np.random.default_rng(1)
    means = rng.uniform(0, 200, (1, LANDMARKS, 2)) + rng.normal(0, 25, (3, LANDMARKS, 2))
    shapes = np.concatenate([means[k % 3] + rng.normal(0, 3, (LANDMARKS, 2)) for k in range(60)])
    positions = np.concatenate([shapes.reshape(60, LANDMARKS, 2), rng.uniform(0, 400, (3, LANDMARKS, 2))])
    errors = rng.uniform(2, 3, (63, LANDMARKS))
    errors[60:] = 12
    return [f"{k:02d}.png" for k in range(63)], positions, errors


def family(name):
    number = int(name[:2])
    return "odd" if number >= 60 else number % 3


class TestProposal:
    def test_one_of_each_family_that_is_not_annotated(self, families):
        names, positions, errors = families
        found = propose_corrections(names, positions, errors, annotated=["00.png"], count=2)
        assert {family(name) for name in found.images} == {1, 2}

    def test_odd_images_are_for_the_review_and_not_for_learning(self, families):
        names, positions, errors = families
        found = propose_corrections(names, positions, errors, annotated=["00.png"], count=20)
        assert len(set(found.images)) == 20
        assert "odd" not in {family(name) for name in found.images}

    def test_nothing_is_proposed_twice(self, families):
        names, positions, errors = families
        annotated = list(names[:50])
        found = propose_corrections(names, positions, errors, annotated=annotated, count=5)
        assert not set(found.images) & set(annotated)
        assert len(found.images) == 5

    def test_images_without_predictions_are_left_out(self, families):
        names, positions, errors = families
        positions[1:40], errors[1:40] = np.nan, np.nan
        found = propose_corrections(names, positions, errors, annotated=["00.png"])
        assert found.images
        assert all(int(name[:2]) >= 40 for name in found.images)

    def test_all_are_annotated(self, families):
        names, positions, errors = families
        found = propose_corrections(names, positions, errors, annotated=names)
        assert found.images == ()
        assert found.gain == 0

    def test_a_large_cohort_takes_no_longer(self, families):
        _, positions, errors = families
        count = 5000
        rows = np.arange(count) % 60
        names = [f"{k:02d}.png" for k in range(count)]
        found = propose_corrections(names, positions[rows], errors[rows], annotated=["00.png"])
        assert len(found.images) == 3


class TestGain:
    errors = np.full((30, LANDMARKS), 2.0)

    def gain(self, corrected, offsets=None):
        return expected_gain(self.errors, offsets, corrected=corrected, more=3)

    def test_every_correction_brings_less_than_the_one_before(self):
        gains = [self.gain(count) for count in (0, 3, 6, 12, 50)]
        assert gains == sorted(gains, reverse=True)
        assert gains[0] < 0.5
        assert gains[-1] < 0.01

    def test_a_cohort_without_common_offsets_gains_less(self):
        nothing = CorrectionOffsets(
            np.zeros((LANDMARKS, 2)),
            np.zeros((LANDMARKS, 2)),
            np.full(LANDMARKS, 1),
            0.0,
            np.full(LANDMARKS, 4.0),
        )
        large = replace(nothing, between=4.0)
        assert 0 < self.gain(1, nothing) < 0.5 * self.gain(1, large)

    def test_it_is_about_what_corrections_bring(self):
        """Measured with drawn corrections: the fall of the mean error from six to nine of them."""
        measured, expected = [], []
        for seed in range(60):
            rng = np.random.default_rng(seed)
            reference = rng.uniform(0, 200, (LANDMARKS, 2))
            offset = rng.normal(0, 1.5, (LANDMARKS, 2))
            truth = reference + rng.normal(0, 2, (109, LANDMARKS, 2))
            predictions = truth - offset + rng.normal(0, 1.5, truth.shape)

            def left(count, predictions=predictions, truth=truth, reference=reference):
                learned = learn_offsets(reference, predictions[:count], truth[:count])
                return learned, np.linalg.norm((learned.apply(predictions) - truth)[9:], axis=-1)

            before, errors = left(6)
            measured.append(errors.mean() - left(9)[1].mean())
            expected.append(offset_gain(errors, before, corrected=6, more=3))
        assert 0.4 * np.mean(measured) < np.mean(expected) < 2.5 * np.mean(measured)
