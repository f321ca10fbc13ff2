"""A window that keeps answering while a thread computes in Python."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
from collections.abc import Iterator

_SWITCH_SECONDS = 0.001  # a fifth of the default

_LOCK = threading.Lock()
_users = 0
_usual_seconds = 0.0


@contextlib.contextmanager
def responsive_window() -> Iterator[None]:
    """Give the main thread its turn often, whatever this thread does meanwhile.

    Threads change five times as often as by default. And a full collection of garbage, which stops all threads and
    comes often where thousands of images are read, leaves out the objects that exist already: those of napari and torch
    alone take it 0.15 s. Both are put back when the last of parallel contexts ends: jobs of two viewers may overlap.
    """
    global _users, _usual_seconds
    with _LOCK:
        _users += 1
        if _users == 1:
            _usual_seconds = sys.getswitchinterval()
            sys.setswitchinterval(min(_usual_seconds, _SWITCH_SECONDS))
            gc.freeze()
    try:
        yield
    finally:
        with _LOCK:
            _users -= 1
            if _users == 0:
                gc.unfreeze()
                sys.setswitchinterval(_usual_seconds)
