"""Quality measures of a pair as text."""

from __future__ import annotations

import pytest

from napari_landmark.gui.layers.pair_inputs import read_pair
from napari_landmark.gui.widgets.measures_text import measures_text
from napari_landmark.registration.pairwise.pair_measures import measure_pair

from ..pairs import all_chosen, shifted


@pytest.fixture
def pair(labelled):
    return read_pair(all_chosen(labelled))


def test_numbers(pair):
    numbers = measure_pair(
        shifted(pair.fixed.geometry, pair.moving.geometry),
        pair.fixed,
        pair.moving,
        fixed_labels=pair.fixed_labels,
        moving_labels=pair.moving_labels,
        fixed_landmarks=pair.fixed_landmarks,
        moving_landmarks=pair.moving_landmarks,
    )
    assert numbers.similarity[1] > 0.99 > numbers.similarity[0]
    assert numbers.dice[3][1] == 1.0 > numbers.dice[3][0]
    assert numbers.unit == "mm"
    assert numbers.mean_error[1] < 1e-3 < numbers.mean_error[0]
    assert numbers.folding_percent == 0
    text = measures_text(numbers, guided=True)
    assert "label 3" in text
    assert "guided" in text
