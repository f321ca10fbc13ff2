"""What a terminal shows of long work, and Ctrl-C."""

from __future__ import annotations

import os
import re
import signal

import pytest

from napari_landmark.cli import terminal_progress as progress_module
from napari_landmark.cli.terminal_progress import cancel_on_interrupt, progress_note, terminal_progress
from napari_landmark.detection.training.whole_progress import WholeProgress
from napari_landmark.progress import ProgressEvent


@pytest.mark.parametrize(
    ("event", "note"),
    [
        (ProgressEvent("x", 0.5), ""),
        (ProgressEvent("x", 0.5, 75.4, 1.234), "loss 1.23, 1:15 left"),
        (ProgressEvent("x", 0.5, 59.7), "1:00 left"),
        (ProgressEvent("x", 1.0, 0.0, 2.0), "loss 2.00"),
    ],
)
def test_notes(event, note):
    assert progress_note(event) == note


def test_lines_where_there_is_no_terminal(capsys, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now)
    with terminal_progress() as progress:
        for step in range(100):
            now += 1
            progress(ProgressEvent("learning", step / 100, 100 - step, 3.0))
        progress(ProgressEvent("matching", 0.0))
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "learning: 0% loss 3.00, 1:40 left"
    assert lines[-1] == "matching: 0%"
    assert 4 <= len(lines) <= 8


def test_a_bar_in_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with terminal_progress() as progress:
        progress(ProgressEvent("learning", 0.5, 10.0, 3.0))
        progress(ProgressEvent("learning", 1.5))
        progress(ProgressEvent("matching", 0.2))
    err = capsys.readouterr().err
    assert "learning" in err
    assert "matching" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_interrupt_asks_and_the_second_stops(number, capsys):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), cancel_on_interrupt() as token:
        assert not token.cancelled
        os.kill(os.getpid(), number)
        assert token.cancelled
        assert "once more stops at once" in capsys.readouterr().err
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_training_is_one_progress_with_one_time_left(capsys, monkeypatch, is_terminal):
    monkeypatch.setenv("FORCE_COLOR" if is_terminal else "NO_COLOR", "1")
    with terminal_progress(whole=WholeProgress()) as progress:
        progress(ProgressEvent("reading images", 0.5))
        progress(ProgressEvent("training embedding", 0.0))
        progress(ProgressEvent("training embedding", 0.9, 24.7, 1.0))
        progress(ProgressEvent("training detector", 0.5, 99.0, 2.0))
    err = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    shown = err.splitlines()
    assert any("reading images" in line and "50%" in line and "of all" not in line for line in shown)
    training = [line for line in shown if "training detector" in line]
    assert "loss 2.00, 6:03 left" in training[-1]  # 99 s of this stage, and what comes after it
    assert "65%" in training[-1]
    if is_terminal:
        assert not any("training embedding" in line for line in shown[-2:])
    else:
        assert "65% of all" in training[-1]
