"""Calls in a later turn of the event loop."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, Qt, QTimer


def in_next_turn(owner: QObject, action: Callable[[], object], *, milliseconds: int = 0) -> None:
    """Call a function in the next turn of the event loop or after a time; never where its owner is gone by then.

    `QTimer.singleShot` calls it all the same, and PySide then raises RuntimeError for a method of a deleted object.
    """
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.setTimerType(Qt.TimerType.PreciseTimer)  # others may be a twentieth early
    timer.timeout.connect(action)
    timer.timeout.connect(timer.deleteLater)
    timer.start(milliseconds)
