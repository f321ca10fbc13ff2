"""Previews come now and then and leave the training as it was."""

from __future__ import annotations

import pytest
from torch import nn

from napari_landmark.detection.training import preview as preview_module
from napari_landmark.detection.training.preview import with_preview
from napari_landmark.progress import ProgressEvent


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(preview_module, "time", clock)
    return clock


def test_without_a_preview_nothing_changes():
    def progress(event):
        raise AssertionError

    assert with_preview(progress, None, lambda: None, nn.Linear(1, 1)) is progress


def test_now_and_then(clock):
    events, shown = [], []
    network = nn.Linear(1, 1).train()

    def build():
        network.eval()
        return len(events)

    report = with_preview(events.append, shown.append, build, network, seconds=10.0)
    for second in range(60):
        clock.now = 100.0 + second
        report(ProgressEvent("x", second / 60))
        assert network.training
    assert len(events) == 60
    assert 4 <= len(shown) <= 7
    assert shown[0] < 10  # the first comes early


def test_not_at_the_end_of_a_stage(clock):
    shown = []
    report = with_preview(None, shown.append, lambda: "model", nn.Linear(1, 1), seconds=1.0)
    clock.now += 100
    report(ProgressEvent("x", 1.0))
    assert shown == []


def test_not_before_there_is_something_to_see(clock):
    shown = []
    report = with_preview(None, shown.append, lambda: "model", nn.Linear(1, 1), seconds=1.0, after=0.4)
    for fraction in (0.1, 0.39, 0.41):
        clock.now += 100
        report(ProgressEvent("x", fraction))
    assert shown == ["model"]
