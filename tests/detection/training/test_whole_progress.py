"""One progress and one time left for all stages of a training."""

from __future__ import annotations

import pytest

from napari_landmark.detection.training.whole_progress import WholeProgress
from napari_landmark.progress import ProgressEvent

STAGES = {
    "training embedding": 247,
    "training embedding across subjects": 86,
    "matching template": 15,
    "training patch embedding": 210,
    "training detector": 198,
    "retraining detector": 159,
    "training patch detector": 46,
    "measuring errors": 25,
    "predicting cohort": 20,
}


def run(stages, *, speed=1.0):
    """Events of a training in which each stage takes its seconds, with the true time left."""
    left = sum(stages.values()) / speed
    for stage, seconds in stages.items():
        for step in range(20):
            done = step / 20
            own = seconds / speed * (1 - done)
            yield ProgressEvent(stage, done, own if step else None, step=step), left - seconds / speed * done
        left -= seconds / speed


@pytest.mark.parametrize("speed", [0.5, 1.0, 8.0])
def test_it_rises_from_nothing_to_all_and_tells_the_time_left(speed):
    progress, before = WholeProgress(), 0.0
    for number, (event, left) in enumerate(run(STAGES, speed=speed)):
        whole = progress.whole(event)
        assert before <= whole.fraction <= 1
        before = whole.fraction
        if number:
            # Stages that are not seen here (23 of 1,029 seconds) are expected until later ones begin.
            assert whole.seconds_left == pytest.approx(left, rel=0.1, abs=25 / speed)
        assert (whole.stage, whole.step) == (event.stage, event.step)
    assert before > 0.98
    assert progress.whole(ProgressEvent("predicting cohort", 1.0, 0.0)).fraction == 1


def test_an_update_begins_at_nothing():
    progress = WholeProgress()
    assert progress.whole(ProgressEvent("detecting landmarks", 0.0)).fraction == 0
    half = progress.whole(ProgressEvent("retraining detector", 0.5, 26.0))
    assert 0.3 < half.fraction < 0.45
    assert 26 < half.seconds_left < 80


def test_reading_images_and_states_change_nothing():
    progress = WholeProgress()
    reading = progress.whole(ProgressEvent("reading images", 0.7, 12.0))
    assert (reading.fraction, reading.seconds_left) == (0, 12.0)
    told = progress.whole(ProgressEvent("training detector", 0.5, 60.0)).fraction
    state = progress.whole(ProgressEvent("Not reachable since 12:00", 0.1))
    assert (state.fraction, state.seconds_left) == (told, None)
    assert state.stage == "Not reachable since 12:00"


def test_it_never_falls():
    progress = WholeProgress()
    high = progress.whole(ProgressEvent("retraining detector", 0.5, 60.0)).fraction
    progress.whole(ProgressEvent("detecting landmarks", 0.1))  # again, in another order
    assert progress.whole(ProgressEvent("retraining detector", 0.4, 60.0)).fraction >= high
