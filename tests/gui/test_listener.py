"""Connections of a listener end with their sender and with the widget."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from psygnal import Signal as PsygnalSignal
from qtpy import PYSIDE6
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QApplication

from napari_landmark.gui.listener import Listener


class Sender(QObject):
    """An object that sends some values and then its last one."""

    sent = Signal(int)
    done = Signal(int)


class State:
    """An object that outlives the widget."""

    changed = PsygnalSignal(int)


class Heard(Listener):
    """A listener that remembers."""

    def __init__(self) -> None:
        super().__init__(None)
        self.values: list[int] = []

    def hear(self, value: int) -> None:
        self.values.append(value)


@pytest.fixture
def listener(qtbot):
    widget = Heard()
    qtbot.addWidget(widget)
    return widget


def follow(listener, sender):
    listener.follow(sender, (sender.sent, listener.hear), (sender.done, listener.hear), until=(sender.done,))


def receivers(sender):
    """How many slots `sent` has; the bindings name a signal in different ways."""
    return sender.receivers("2sent(int)" if PYSIDE6 else sender.sent)


def test_the_last_signal_is_heard_and_nothing_after_it(listener):
    sender = Sender()
    follow(listener, sender)
    sender.sent.emit(1)
    sender.done.emit(2)
    sender.sent.emit(3)
    sender.done.emit(4)
    assert listener.values == [1, 2]


def test_one_sender_can_be_followed_twice(listener):
    sender = Sender()
    follow(listener, sender)
    sender.sent.emit(1)
    follow(listener, sender)
    sender.done.emit(2)
    assert listener.values == [1, 2, 2]


def test_senders_end_apart(listener):
    first, second = Sender(), Sender()
    follow(listener, first)
    follow(listener, second)
    first.done.emit(1)
    second.sent.emit(2)
    assert listener.values == [1, 2]


def test_what_outlives_the_widget_no_longer_refers_to_it(qtbot):
    state, sender, widget = State(), Sender(), Heard()
    before = receivers(sender)
    widget.listen(state.changed, widget.hear)
    follow(widget, sender)
    assert (len(state.changed), receivers(sender)) == (1, before + 1)
    with qtbot.waitSignal(widget.destroyed):
        widget.deleteLater()
    assert (len(state.changed), receivers(sender)) == (0, before)
    state.changed.emit(1)
    sender.done.emit(2)


def test_a_widget_can_go_after_its_senders():
    """In a process of its own: a connection of a destroyed sender that is ended again crashes Qt."""
    script = (
        "import gc, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_listener import Heard, QApplication, Sender, follow\n"
        "application = QApplication([])\n"
        "widget = Heard()\n"
        "for number in range(100):\n"
        "    sender = Sender()\n"
        "    follow(widget, sender)\n"
        "    sender.sent.emit(number)\n"
        "    del sender\n"
        "gc.collect()\n"
        "others = [Sender() for _ in range(1000)]\n"
        "assert widget.values == list(range(100))\n"
        "widget.deleteLater()\n"
        "application.sendPostedEvents()\n"
        "application.processEvents()\n"
        "print('gone')\n"
    )
    folder = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", script, folder], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "gone"), done.stderr
    assert QApplication.instance() is not None
