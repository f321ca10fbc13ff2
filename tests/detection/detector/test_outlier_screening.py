"""Gross errors of template matches are repaired or lose weight; right matches stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_landmark.detection.detector.outlier_screening import screen_outliers
from napari_landmark.detection.embedding.template_matching import (
    Template,
    cycle_weight,
    describe_templates,
    match_templates,
)


class Matched:
    """A cohort with the matches of some of its images."""

    def __init__(self, cohort, device, numbers=None, known=None):
        self.cohort, self.device = cohort, device
        self.numbers = list(range(len(cohort)) if numbers is None else numbers)
        template = Template(0, cohort.truth[0] if known is None else known)
        self.descriptors = describe_templates(cohort.embedding, cohort, [template], device)
        matches = [self._match(number) for number in self.numbers]
        self.positions = np.stack([match.positions for match in matches])
        self.weights = cycle_weight(np.stack([match.cycle_error for match in matches]))

    def _match(self, number):
        maps = self.cohort.embedding.embed(torch.from_numpy(self.cohort.working(number))[None, None])
        return match_templates(self.cohort.embedding, self.descriptors, maps)

    def screened(self, positions=None):
        return screen_outliers(
            self.positions if positions is None else positions,
            self.weights,
            self.cohort.embedding,
            self.cohort,
            self.descriptors,
            numbers=self.numbers,
            device=self.device,
        )


@pytest.fixture
def matched(perfect_cohort, cpu):
    return Matched(perfect_cohort(), cpu)


def spoilt(positions):
    positions = positions.copy()
    positions[3, 2] += 40
    positions[8, 6] -= 35
    return positions


def test_gross_errors_are_repaired(matched):
    positions, weights = matched.screened(spoilt(matched.positions))
    assert np.linalg.norm(positions - matched.cohort.truth, axis=-1).max() < 4
    assert weights[3, 2] < weights[3, 3]
    assert weights[8, 6] < weights[8, 5]


def test_gross_errors_in_a_part_of_the_cohort(perfect_cohort, cpu):
    matched = Matched(perfect_cohort(count=24), cpu, numbers=range(0, 24, 2))
    positions, weights = matched.screened(spoilt(matched.positions))
    # Matched again in its own image, the position is the same as before, not only near the prediction.
    for row, landmark in ((3, 2), (8, 6)):
        off = positions[row, landmark] - matched.positions[row, landmark]
        assert np.linalg.norm(off) < 1.5
        assert weights[row, landmark] < weights[row, landmark - 1]


def test_what_is_right_stays(matched):
    before = matched.positions.copy()
    positions, weights = matched.screened()
    assert np.abs(positions - before).max() < 2
    assert np.median(weights) > 0.5
    assert np.array_equal(matched.positions, before)


def test_a_landmark_that_no_template_shows_keeps_little_weight(perfect_cohort, cpu):
    cohort = perfect_cohort()
    known = cohort.truth[0].copy()
    known[1] = np.nan
    positions, weights = Matched(cohort, cpu, known=known).screened()
    assert np.isfinite(positions).all()
    assert (weights[:, 1] < 0.05).all()


def test_too_few_images_for_a_shape_model(perfect_cohort, cpu):
    matched = Matched(perfect_cohort(count=3), cpu)
    positions, weights = matched.screened()
    assert np.array_equal(positions, matched.positions)
    assert np.array_equal(weights, matched.weights)
