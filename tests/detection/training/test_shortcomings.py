"""A training that learned too little is told from one that learned enough."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.landmarks import LandmarkSet, Status
from napari_landmark.detection.training.shortcomings import ShortcomingKind, find_shortcomings
from napari_landmark.detection.training.train import TrainingReport
from napari_landmark.learning.loop import History


@pytest.fixture
def kinds(cohort, phantoms, tmp_path):
    def found(*, steps=100, error=2.0, confidence=0.5, cancelled=False):
        marks = {
            phantom.image.name: LandmarkSet.from_array(
                phantom.landmarks.schema,
                phantom.landmarks.positions(),
                Status.PREDICTED,
                np.full(len(phantom.landmarks), confidence),
                np.full(len(phantom.landmarks), error),
            )
            for phantom in phantoms
        }
        histories = [History("embedding", 100, least_steps=50), History("detector", steps, least_steps=75)]
        report = TrainingReport(tmp_path / "001", histories, marks, cancelled, 90.0)
        return find_shortcomings(report, cohort)

    return found


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ({"steps": 74}, ShortcomingKind.TOO_FEW_STEPS, "detector: 74 of at least 75 steps"),
        ({"confidence": 0.01}, ShortcomingKind.FLAT_HEATMAPS, "flat"),
        ({"error": 40.0}, ShortcomingKind.LARGE_ERROR, "of an image's length"),
    ],
)
def test_each_sign(kinds, how, kind, text):
    (lack,) = kinds(**how)
    assert lack.kind is kind
    assert text in lack.text


def test_a_good_training_has_none(kinds):
    assert kinds() == []
    assert kinds(steps=75) == []


def test_a_user_who_cancels_knows(kinds):
    assert kinds(steps=1, error=40.0, cancelled=True) == []


def test_the_most_telling_comes_first(kinds):
    assert [lack.kind for lack in kinds(steps=1, error=40.0)] == [
        ShortcomingKind.TOO_FEW_STEPS,
        ShortcomingKind.LARGE_ERROR,
    ]
