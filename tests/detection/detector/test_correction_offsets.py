"""Offsets that corrections have in common: learned in each image's own pose, and shrunk where they are uncertain."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.detection.detector.correction_offsets import learn_offsets

LANDMARKS = 12


class Cohort:
    """Shapes in random poses, predicted with scatter; landmark 0 is marked elsewhere by all annotators."""

    def __init__(self, count, *, offset=(6.0, -3.0), scatter=1.0, seed=0):
        rng = np.random.default_rng(seed)
        self.reference = rng.uniform(0, 200, (LANDMARKS, 2))
        angle, scale = rng.uniform(-0.6, 0.6, count), rng.uniform(0.8, 1.25, count)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
        matrices = scale[:, None, None] * turn
        shift = rng.uniform(-30, 30, (count, 1, 2))
        self.truth = np.einsum("bij,nj->bni", matrices, self.reference) + shift
        self.truth += rng.normal(0, scatter, self.truth.shape)
        self.predictions = self.truth + rng.normal(0, scatter, self.truth.shape)
        self.predictions[:, 0] -= np.einsum("bij,j->bi", matrices, np.array(offset))

    def error(self, positions, landmark):
        return np.linalg.norm(positions - self.truth, axis=-1)[:, landmark].mean()


def learn(cohort, count):
    return learn_offsets(cohort.reference, cohort.predictions[:count], cohort.truth[:count])


class TestOffsets:
    def test_a_common_offset_is_undone_in_other_images(self):
        cohort = Cohort(40)
        found = learn(cohort, 6).apply(cohort.predictions)
        assert cohort.error(cohort.predictions, 0) > 6
        assert cohort.error(found, 0) < 2
        np.testing.assert_allclose(learn(cohort, 40).offsets[0], (6, -3), atol=0.8)

    def test_other_landmarks_are_hardly_moved(self):
        cohort = Cohort(40)
        found = learn(cohort, 6).apply(cohort.predictions)
        for landmark in range(1, LANDMARKS):
            assert cohort.error(found, landmark) < cohort.error(cohort.predictions, landmark) + 0.4

    def test_scatter_alone_is_shrunk_away(self):
        cohort = Cohort(40, offset=(0, 0), scatter=3.0)
        offsets = learn(cohort, 4)
        plain = np.median(cohort.truth[:4] - cohort.predictions[:4], axis=0)
        assert np.linalg.norm(offsets.offsets, axis=1).mean() < 0.5 * np.linalg.norm(plain, axis=1).mean()

    def test_a_wrong_click_has_no_say(self):
        cohort = Cohort(40)
        cohort.truth[1, 5] += 80
        assert np.linalg.norm(learn(cohort, 7).offsets[5]) < 2.5

    @pytest.mark.parametrize("count", [0, 1])
    def test_one_correction_tells_nothing(self, count):
        cohort = Cohort(10)
        offsets = learn(cohort, count)
        np.testing.assert_array_equal(offsets.offsets, 0)
        np.testing.assert_array_equal(offsets.apply(cohort.predictions), cohort.predictions)

    def test_only_what_was_corrected_is_learned(self):
        cohort = Cohort(30)
        corrections = cohort.truth[:6].copy()
        corrections[:, 0] = np.nan
        offsets = learn_offsets(cohort.reference, cohort.predictions[:6], corrections)
        np.testing.assert_array_equal(offsets.offsets[0], 0)
        assert offsets.counts.tolist() == [0] + [6] * (LANDMARKS - 1)
        assert np.isfinite(offsets.offsets).all()

    def test_unknown_predictions_stay_unknown(self):
        cohort = Cohort(12)
        cohort.predictions[8, 2] = np.nan
        found = learn(cohort, 6).apply(cohort.predictions)
        assert np.isnan(found[8, 2]).all()
        assert np.isfinite(np.delete(found, 8, 0)).all()
