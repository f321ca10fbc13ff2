"""Images that get pseudo-labels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.detection.detector.pseudo_labels import (
    MAX_PSEUDO_LABELLED,
    PseudoLabels,
    pseudo_labelled_images,
)


class TestPseudoLabelledImages:
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


def test_numbers_are_those_of_images_with_a_position():
    positions = np.full((4, 2, 2), np.nan)
    positions[1], positions[3, 0] = 5, 7
    assert PseudoLabels(positions, np.zeros((4, 2)), 1.0).numbers.tolist() == [1, 3]
