"""What a user decides on an image is kept, and damage of its file is told."""

from __future__ import annotations

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.image_decisions import ImageDecision, read_decisions
from napari_landmark.data.study.study import Study


@pytest.fixture
def study(tmp_path):
    return Study.create(tmp_path / "study", schema=LandmarkSchema(("a",)))


def test_decisions_outlast_the_program(study):
    assert study.decisions() == {}
    study.decide("1.png", ImageDecision.CONFIRMED)
    study.decide("sub/é 2.png", ImageDecision.LEFT_OUT)
    again = Study.open(study.folder)
    assert again.decisions() == {"1.png": ImageDecision.CONFIRMED, "sub/é 2.png": ImageDecision.LEFT_OUT}
    again.decide("1.png", ImageDecision.LEFT_OUT)
    again.decide("sub/é 2.png", None)
    assert study.decisions() == {"1.png": ImageDecision.LEFT_OUT}
    study.decide("unknown.png", None)
    assert study.decisions() == {"1.png": ImageDecision.LEFT_OUT}


def test_new_predictions_leave_them_alone(study):
    study.decide("1.png", ImageDecision.CONFIRMED)
    study.save_predictions("1.png", study.load_predictions("1.png"))
    assert study.decisions() == {"1.png": ImageDecision.CONFIRMED}


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"version": 2, "images": {}}', '{"version": 1, "images": {"a": "maybe"}}']
)
def test_a_damaged_file_is_named(study, text):
    (study.folder / "decisions.json").write_text(text)
    with pytest.raises(InputError, match=r"decisions\.json"):
        read_decisions(study.folder)
