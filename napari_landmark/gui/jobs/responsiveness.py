"""A window that keeps answering while a thread computes in Python."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator

_SWITCH_SECONDS = 0.001  # a fifth of the default


@contextlib.contextmanager
def responsive_window() -> Iterator[None]:
    """Give the main thread its turn often, whatever this thread does meanwhile.

    Threads change five times as often as by default. And a full collection of garbage, which stops all threads and
    comes often where thousands of images are read, leaves out the objects that exist already: those of napari and torch
    alone take it 0.15 s. Both are put back at the end; of jobs that overlap, the first end counts for all.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(min(usual, _SWITCH_SECONDS))
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(usual)
