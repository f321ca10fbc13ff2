"""Budgets of a training."""

from __future__ import annotations

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.oneshot.options import FULL_CANVAS, TrainingOptions

STAGES = ("self", "cross", "close", "detector", "again")


def test_small_images_get_their_share_of_the_limit():
    options = TrainingOptions(limit_minutes=10.0)
    assert options.for_canvas((768, 640)).limit_minutes == 10
    assert options.for_canvas((1024, 1024)).limit_minutes == 10
    assert options.for_canvas((512, 480)).limit_minutes == pytest.approx(10 * 512 * 480 / FULL_CANVAS)
    assert 2 < options.for_canvas((64, 64)).limit_minutes < 8
    for stage in STAGES:
        more, as_many = (options.for_canvas(canvas).budget(stage).steps for canvas in ((64, 64), (768, 640)))
        assert as_many == options.budget(stage).steps
        assert (more > as_many) is (stage != "close")  # its windows are of one size
    assert options.for_canvas((768, 640)) == options


def test_the_words_name_the_steps_of_every_stage():
    steps = {f"{stage}_steps": 11 + k for k, stage in enumerate(STAGES)}
    assert TrainingOptions(**steps).describe() == "for 11 + 12 + 13 + 14 + 15 steps"


def test_minutes_that_a_person_asked_for_stay():
    options = TrainingOptions(minutes=3.0)
    assert options.for_canvas((64, 64)) == options


def test_the_stages_share_the_time_and_leave_some_for_the_rest():
    options = TrainingOptions(minutes=10.0)
    seconds = [options.budget(stage).seconds for stage in STAGES]
    assert 0.85 * 600 < sum(seconds) < 600
    assert all(options.budget(stage).steps is None for stage in STAGES)


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_impossible_minutes(minutes):
    with pytest.raises(InputError, match="minutes"):
        TrainingOptions(minutes=minutes)
