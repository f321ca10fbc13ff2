"""Work on many items in threads, with results as they finish."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4  # items for each thread that are submitted, so that stopping is quick


def in_threads(
    work: Callable[[Item], Result], items: Sequence[Item], *, threads: int
) -> Generator[tuple[Item, Future[Result]], None, None]:
    """Yield each item with its finished future, in the order in which they finish.

    To be closed (`contextlib.closing`) where it is not used up: that waits for the running calls and drops the others.

    Parameters
    ----------
    work : callable
        Called from several threads.
    items : sequence
    threads : int
        Number of threads.
    """
    executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="cohort")
    waiting = iter(items)
    running: dict[Future[Result], Item] = {}
    try:
        while True:
            for item in waiting:
                running[executor.submit(work, item)] = item
                if len(running) >= _AHEAD * threads:
                    break
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
