"""Tasks on the workers of a dask scheduler.

A worker that is lost loses the task it is at, which another one does again.
"""

from __future__ import annotations

import queue
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from napari_landmark.data.errors import InputError
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

if TYPE_CHECKING:
    from distributed import Client, Future

Part = TypeVar("Part")

_ADDRESS = re.compile(r"dask(\+tls)?://([A-Za-z0-9.\-_]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})")
_SECONDS_TO_CONNECT = 10
_SECONDS_BETWEEN_LOOKS = 0.5
RETRIES = 3
"""Workers that may be lost at one task."""


def parse_address(text: str) -> str:
    """Address of a scheduler as dask has it, from `dask://HOST:PORT` or, with TLS, `dask+tls://HOST:PORT`.

    Examples
    --------
    >>> parse_address("dask+tls://head.cluster:8786")
    'tls://head.cluster:8786'
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise InputError(f"executor {text!r:.80}: give dask://HOST:PORT, or dask+tls://HOST:PORT")
    return f"{'tls' if match[1] else 'tcp'}://{match[2]}:{match[3]}"


def connected(address: str) -> Client:
    """Connection to the scheduler at an address that `parse_address` gave.

    Raises
    ------
    InputError
        No scheduler answers, or dask is not installed.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "the package distributed is not installed: install napari-landmark with the extra 'cluster'"
        ) from None
    try:
        return Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise InputError(f"{address}: no scheduler answers there ({one_line(error)})") from error


def run_tasks(
    client: Client,
    work: Callable[..., Any],
    common: Sequence[Any],
    parts: Sequence[Part],
    plain: Callable[[Part], Any],
    take: Callable[[Part, Any], None],
    *,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> bool:
    """Do a task for each part of some work, and take the results as they come.

    Parameters
    ----------
    client : Client
        See `connected`.
    work : callable
        Called on a worker with the arguments `common` and a part; a function of a module.
    common : sequence
        Plain values.
    parts : sequence
    plain : callable
        Plain values of a part, which are sent.
    take : callable
        Called here with a part and its result.

    Returns
    -------
    bool
        False where it was cancelled before all results came.

    Raises
    ------
    InputError
        A task failed.
    """
    ended: queue.Queue[Future] = queue.Queue()
    waiting: dict[str, Part] = {}
    futures = []
    for part in parts:
        future = client.submit(work, *common, plain(part), pure=False, retries=RETRIES)
        waiting[str(future.key)] = part
        futures.append(future)
        future.add_done_callback(ended.put)
    try:
        while waiting:
            if cancel is not None and cancel.cancelled:
                return False
            try:
                future = ended.get(timeout=_SECONDS_BETWEEN_LOOKS)
            except queue.Empty:
                if progress and not has_workers(client):
                    progress(ProgressEvent("waiting for workers", 0.0))
                continue
            part = waiting.pop(str(future.key))
            if future.status != "finished":
                raise InputError(f"a worker of the cluster failed: {one_line(future.exception(timeout=10))}")
            take(part, future.result(timeout=60))
            future.release()
        return True
    finally:
        client.cancel([future for future in futures if future.key in waiting])


def has_workers(client: Client) -> bool:
    """Whether the scheduler has a worker now."""
    return bool(client.scheduler_info(n_workers=-1)["workers"])


def one_line(error: BaseException | None) -> str:
    """Kind and message of an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
