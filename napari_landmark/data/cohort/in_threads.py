"""Work on many items in threads, a few of them ahead of the caller."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4  # items for each thread that are submitted, so that stopping is quick


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int = _AHEAD
) -> Generator[tuple[Item, Future[Result]], None, None]:
    """Yield each item with its finished future, in the order of the items.

    To be closed (`contextlib.closing`) where it is not used up: that waits for the running calls and drops the others.

    Parameters
    ----------
    work : callable
        Called from several threads.
    items : iterable
    threads : int
        Number of threads.
    ahead : int
        Items for each thread that are submitted before the caller takes their results.
    """
    executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="cohort")
    running: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            running.append((item, executor.submit(work, item)))
            if len(running) >= ahead * threads:
                yield _finished(running)
        while running:
            yield _finished(running)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _finished(running: deque[tuple[Item, Future[Result]]]) -> tuple[Item, Future[Result]]:
    item, future = running.popleft()
    wait((future,))
    return item, future
