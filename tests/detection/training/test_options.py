"""Budgets of a training."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.detection.training.options import FULL_CANVAS, TrainingOptions, default_options
from napari_landmark.learning.device import Device

STAGES = ("self", "cross", "patch", "detector", "retrain", "patch_detector")


def test_small_images_get_their_share_of_the_limit():
    options = TrainingOptions(limit_minutes=10.0)
    assert options.for_canvas((768, 640)).limit_minutes == 10
    assert options.for_canvas((1024, 1024)).limit_minutes == 10
    assert options.for_canvas((512, 480)).limit_minutes == pytest.approx(10 * 512 * 480 / FULL_CANVAS)
    assert 2 < options.for_canvas((64, 64)).limit_minutes < 8
    for stage in STAGES:
        more, as_many = (options.for_canvas(canvas).budget(stage).steps for canvas in ((64, 64), (768, 640)))
        assert as_many == options.budget(stage).steps
        assert (more > as_many) is ("patch" not in stage)  # their windows are of one size
    assert options.for_canvas((768, 640)) == options


def test_the_words_name_the_steps_of_every_stage():
    steps = {f"{stage}_steps": 11 + k for k, stage in enumerate(STAGES)}
    assert TrainingOptions(**steps).describe() == "for 11 + 12 + 13 + 14 + 15 + 16 steps"


@pytest.mark.parametrize(
    "options", [TrainingOptions(minutes=2.5), TrainingOptions(), TrainingOptions(limit_minutes=3)]
)
def test_in_words(options):
    assert options.describe().startswith("for ")


def test_steps_where_no_minutes_are_given():
    budget = TrainingOptions(self_steps=7, limit_minutes=1).budget("self")
    assert budget.steps == 7
    assert budget.seconds < 60
    assert TrainingOptions(cross_steps=0).budget("cross").fraction(0, 0) == 1


def test_minutes_that_a_person_asked_for_stay():
    options = TrainingOptions(minutes=3.0)
    assert options.for_canvas((64, 64)) == options


def test_the_stages_share_the_time_and_leave_some_for_the_rest():
    options = TrainingOptions(minutes=10.0)
    seconds = [options.budget(stage).seconds for stage in STAGES]
    assert 0.85 * 600 < sum(seconds) < 600
    assert all(options.budget(stage).steps is None for stage in ("self", "cross", "patch"))


def test_a_slow_machine_gets_time_to_learn_enough():
    for options in (TrainingOptions(minutes=3.0), TrainingOptions(limit_minutes=20.0)):
        budgets = {stage: options.budget(stage) for stage in STAGES}
        assert all(
            0 < budget.least_steps <= 0.5 * getattr(options, f"{stage}_steps")
            for stage, budget in budgets.items()
        )
        minutes = options.minutes or options.limit_minutes
        assert sum(budget.most_seconds for budget in budgets.values()) <= options.overtime * 60 * minutes
        assert f"up to {4 * minutes:g}" in options.describe()
    assert TrainingOptions().budget("self").seconds is None  # steps alone: nothing cuts them short


def test_overtime_can_be_refused_but_not_be_negative():
    options = TrainingOptions(minutes=3.0, overtime=1.0)
    assert options.budget("self").most_seconds == options.budget("self").seconds
    assert options.describe() == "for 3 minutes"
    with pytest.raises(InputError, match="overtime"):
        TrainingOptions(overtime=0.5)


def test_more_minutes_do_not_teach_the_detector_its_labels_by_heart():
    for minutes in (10.0, 1000.0):
        options = TrainingOptions(minutes=minutes)
        assert options.budget("detector").steps == 3 * TrainingOptions().budget("detector").steps
        assert options.budget("retrain").steps == 3 * TrainingOptions().budget("retrain").steps


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_impossible_minutes(minutes):
    with pytest.raises(InputError, match=r"minutes .*: must be a number above 0") as caught:
        TrainingOptions(minutes=minutes)
    assert caught.value.code is ErrorCode.INVALID_OPTION


class TestDefaults:
    def of(self, monkeypatch, kind, gigabytes, **options):
        monkeypatch.setattr(Device, "memory", lambda _: int(gigabytes * 2**30))
        return default_options(Device(torch.device(kind), None), **options)

    def test_what_is_asked_for_is_taken(self, monkeypatch):
        for kind, gigabytes in (("cpu", 0), ("cuda", 10), ("mps", 0)):
            options = self.of(monkeypatch, kind, gigabytes, seed=3, minutes=7)
            assert (options.device, options.seed, options.minutes) == (kind, 3, 7)

    @pytest.mark.parametrize(("gigabytes", "factor"), [(80, 8), (8, 8), (4, 4), (2, 2), (1, 1), (0, 1)])
    def test_a_card_gets_batches_that_it_has_room_for(self, monkeypatch, gigabytes, factor):
        assert self.of(monkeypatch, "cuda", gigabytes).batch_factor == factor

    def test_larger_batches_show_no_fewer_images(self, monkeypatch):
        usual = self.of(monkeypatch, "cpu", 0)
        for gigabytes in (2, 4, 8):
            card = self.of(monkeypatch, "cuda", gigabytes)
            for stage in ("self", "cross", "patch"):
                seen = card.budget(stage).steps * card.batch_factor
                assert seen >= usual.budget(stage).steps
            for stage in ("detector", "retrain"):  # labels that are shown often are learned by heart
                assert card.budget(stage).steps == usual.budget(stage).steps

    @pytest.mark.parametrize(
        ("canvas", "factor"), [((192, 128, 128), 1), ((1536, 1280), 2), ((768, 640), 8), ((64, 64), 8)]
    )
    def test_larger_images_come_in_smaller_batches_for_as_many_more_steps(self, monkeypatch, canvas, factor):
        card = self.of(monkeypatch, "cuda", 80)
        options = card.for_canvas(canvas)
        assert options.batch_factor == factor
        assert options.budget("patch").steps * factor == card.budget("patch").steps * 8
        assert options.budget("retrain").steps >= card.budget("retrain").steps
