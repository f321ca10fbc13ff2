"""Previews come now and then, between steps."""

from __future__ import annotations

import pytest

from napari_landmark.detection.training import preview as preview_module
from napari_landmark.detection.training.preview import preview_hook


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(preview_module, "time", clock)
    return clock


def test_without_a_preview_there_is_no_hook():
    assert preview_hook(None, lambda: None) is None


def test_now_and_then(clock):
    shown = []
    hook = preview_hook(shown.append, lambda: clock.now, seconds=10.0)
    for second in range(60):
        clock.now = 100.0 + second
        hook(second / 60)
    assert 4 <= len(shown) <= 7
    assert shown[0] < 110  # the first comes early


def test_slow_previews_take_a_tenth_of_the_time(clock):
    shown = []

    def build():
        clock.now += 5.0
        return "model"

    hook = preview_hook(shown.append, build, seconds=1.0)
    started = clock.now
    while clock.now < started + 500:
        clock.now += 1.0
        hook(0.5)
    assert 8 <= len(shown) <= 11


def test_not_at_the_end_of_a_stage(clock):
    shown = []
    hook = preview_hook(shown.append, lambda: "model", seconds=1.0)
    clock.now += 100
    hook(1.0)
    assert shown == []


def test_not_before_there_is_something_to_show(clock):
    shown = []
    hook = preview_hook(shown.append, lambda: "model", seconds=1.0, after=0.4)
    for fraction in (0.1, 0.39, 0.41):
        clock.now += 100
        hook(fraction)
    assert shown == ["model"]
