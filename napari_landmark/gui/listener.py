"""Widgets whose connections to signals end with the widget and with the sender."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from qtpy.QtCore import QMetaObject, QObject
from qtpy.QtWidgets import QWidget

from napari_landmark.gui.session.session import Session


class Listener(QWidget):
    """Widget that shows part of the session; all its connections end when it is destroyed.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self._connections: list[tuple[Any, Callable]] = []
        self._followed: dict[int, list[QMetaObject.Connection]] = {}
        # Not a method: once `destroyed` is emitted, this object must not be used any more.
        connections, followed = self._connections, self._followed
        self.destroyed.connect(lambda: _end_all(connections, followed))

    def listen(self, signal: Any, slot: Callable) -> None:
        """Call `slot` for a psygnal or napari signal whose sender outlives the widget, as the session does."""
        signal.connect(slot)
        self._connections.append((signal, slot))

    def follow(self, sender: object, *connections: tuple[Any, Callable], until: Iterable[Any]) -> None:
        """Call slots for the Qt signals of an object that may end before the widget does, such as a job.

        Parameters
        ----------
        sender : QObject
            Sender of all the signals.
        connections : pairs of a signal and a slot
        until : iterable of signals
            The last signals of the sender: after the first of them the connections end. They end in any case
            when the sender is destroyed.
        """
        # Kept as handles: a signal of a destroyed sender must not be touched any more, a handle may be.
        handles: list[QMetaObject.Connection] = []
        followed, number = self._followed, id(handles)
        followed[number] = handles

        def end(*_: object) -> None:
            followed.pop(number, None)
            _disconnect(handles)

        destroyed = [sender.destroyed] if isinstance(sender, QObject) else []
        last = [(signal, end) for signal in (*until, *destroyed)]
        handles += [signal.connect(slot) for signal, slot in (*connections, *last)]


def end_connections(connections: list[tuple[Any, Callable]]) -> None:
    """Disconnect slots from their psygnal or napari signals, and forget them."""
    for signal, slot in connections:
        with contextlib.suppress(Exception):  # the other end may be gone already
            signal.disconnect(slot)
    connections.clear()


def _end_all(
    connections: list[tuple[Any, Callable]], followed: dict[int, list[QMetaObject.Connection]]
) -> None:
    end_connections(connections)
    for handles in followed.values():
        _disconnect(handles)
    followed.clear()


def _disconnect(handles: list[QMetaObject.Connection]) -> None:
    for handle in handles:
        QObject.disconnect(handle)
    handles.clear()
