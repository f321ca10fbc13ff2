"""Limit on the memory that images which are read at the same time may take together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class MemoryBudget:
    """Semaphore that counts bytes.

    Parameters
    ----------
    total : int
        Bytes that all holders may take together.

    Examples
    --------
    >>> budget = MemoryBudget(10**9)
    >>> with budget.reserve(10**6):
    ...     pass
    """

    def __init__(self, total: int) -> None:
        self._total = max(1, total)
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are free, and hold them; more than the total is held alone."""
        size = min(size, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._used + size <= self._total)
            self._used += size
        try:
            yield
        finally:
            with self._changed:
                self._used -= size
                self._changed.notify_all()
