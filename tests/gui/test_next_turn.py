"""Calls in a later turn of the event loop."""

from __future__ import annotations

import time

from qtpy.QtCore import QObject

from napari_landmark.gui.next_turn import in_next_turn


def test_called_once_and_later(qtbot):
    owner, called = QObject(), []
    in_next_turn(owner, lambda: called.append(1))
    assert called == []
    qtbot.waitUntil(lambda: called == [1])
    qtbot.wait(30)
    assert called == [1]
    qtbot.waitUntil(lambda: not owner.children())  # the timer is gone


def test_never_where_the_owner_is_gone(qtbot):
    owner, called = QObject(), []
    in_next_turn(owner, lambda: called.append(1), milliseconds=20)
    owner.deleteLater()
    qtbot.wait(60)
    assert called == []


def test_never_early(qtbot):
    owner, late = QObject(), []
    for _ in range(8):
        started = time.monotonic()
        in_next_turn(owner, lambda started=started: late.append(time.monotonic() - started), milliseconds=400)
        qtbot.wait(17)
    qtbot.waitUntil(lambda: len(late) == 8)
    assert min(late) >= 0.399
