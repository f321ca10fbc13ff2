"""Widgets whose connections to signals end with the widget and with the sender."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from napari_landmark.gui.session.session import Session

Connection = tuple[Any, Callable]
"""A psygnal, napari or Qt signal, and the slot connected to it."""


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
        self._connections: list[Connection] = []
        self._followed: dict[int, list[Connection]] = {}
        # Not a method: once `destroyed` is emitted, this object must not be used any more.
        connections, followed = self._connections, self._followed
        self.destroyed.connect(lambda: disconnect_all(connections, *followed.values()))

    def listen(self, signal: Any, slot: Callable) -> None:
        """Call `slot` for a signal whose sender outlives the widget, such as one of the session."""
        signal.connect(slot)
        self._connections.append((signal, slot))

    def follow(self, sender: QObject, *connections: Connection, until: Iterable[Any]) -> None:
        """Call slots for the signals of a Qt object that ends before the widget does, such as a job.

        Parameters
        ----------
        sender : QObject
            Sender of all the signals.
        connections : pairs of a signal and a slot
        until : iterable of signals
            The last signals of the sender: the connections end after the first of them. They end in any case
            when the sender is destroyed.
        """
        known: list[Connection] = []
        followed, number = self._followed, id(known)
        followed[number] = known

        def end(*_: object) -> None:
            followed.pop(number, None)
            disconnect_all(known)

        def forget(*_: object) -> None:
            # Qt has ended the connections of a destroyed object: disconnecting one again would crash.
            followed.pop(number, None)
            known.clear()

        last = [(signal, end) for signal in until]
        for signal, slot in (*connections, *last, (sender.destroyed, forget)):
            signal.connect(slot)
            known.append((signal, slot))


def disconnect_all(*lists: list[Connection]) -> None:
    """End all connections in the lists and empty these; senders that were destroyed must not be among them."""
    for connections in lists:
        for signal, slot in connections:
            with contextlib.suppress(Exception):  # the other end may be gone already
                signal.disconnect(slot)
        connections.clear()
