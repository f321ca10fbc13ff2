"""Progress bar that is drawn in a turn of its own."""

from __future__ import annotations

import pytest

from napari_landmark.gui.widgets.progress_bar import ProgressBar


@pytest.fixture
def painted(monkeypatch):
    """Number of drawings of each bar."""
    drawn = []
    real = ProgressBar.paintEvent

    def paint(bar, event):
        drawn.append(bar)
        real(bar, event)

    monkeypatch.setattr(ProgressBar, "paintEvent", paint, raising=False)
    return drawn


def test_drawn_once_in_a_later_turn(qtbot, painted):
    bar = ProgressBar()
    qtbot.addWidget(bar)
    bar.show()
    qtbot.waitUntil(lambda: bool(painted))
    painted.clear()
    for part in (0.1, 0.2, 0.3):
        bar.show_part(part, f"at {part}")
    assert not painted
    assert (bar.value(), bar.text()) == (300, "at 0.3")
    qtbot.waitUntil(lambda: bool(painted))
    assert len(painted) == 1


def test_a_hidden_bar_catches_up(qtbot):
    bar = ProgressBar()
    qtbot.addWidget(bar)
    bar.show_part(0.5, "training")
    bar.show()
    assert (bar.value(), bar.text()) == (500, "training")
