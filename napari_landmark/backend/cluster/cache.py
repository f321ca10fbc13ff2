"""The cache of a cohort made on the workers of a dask scheduler.

Every image is a task: a worker reads its file, which is on a file system that all share, and gives back the image on
the working grid. The cache itself is written here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_landmark.backend.cluster.tasks import RETRIES, connected, one_line, parse_address
from napari_landmark.data.cohort.drawing import RESAMPLING, Drawing, LocalDrawing
from napari_landmark.data.cohort.headers import ImageFile, read_headers
from napari_landmark.data.errors import InputError
from napari_landmark.progress import CancelToken

if TYPE_CHECKING:
    from distributed import Client

_SECONDS_TO_START = 60
_SECONDS_BETWEEN_LOOKS = 0.5
_LEAST_AT_A_TIME = 4


class ClusterError(Exception):
    """The workers of a cluster cannot be used; not the fault of an image."""


@contextmanager
def cluster_drawing(executor: str, *, cancel: CancelToken | None = None) -> Iterator[Drawing]:
    """Context with a drawing on the workers of a scheduler.

    Parameters
    ----------
    executor : str
        See `parse_address`.
    cancel : CancelToken, optional
        Ends the waiting for workers.

    Raises
    ------
    InputError
        The scheduler does not answer, has no workers, or they cannot be used.
    """
    with connected(parse_address(executor)) as client:
        try:
            client.wait_for_workers(1, timeout=_SECONDS_TO_START)
        except TimeoutError:
            raise InputError(f"{executor}: the scheduler has no workers") from None
        try:
            yield _ClusterDrawing(client, cancel)
        except ClusterError as error:
            raise InputError(f"{executor}: {error}") from error


class _ClusterDrawing:
    def __init__(self, client: Client, cancel: CancelToken | None) -> None:
        self._client, self._cancel = client, cancel
        self.threads = max(_LEAST_AT_A_TIME, 2 * sum(client.nthreads().values()))

    def draw(
        self,
        entry: ImageFile,
        canvas: tuple[int, ...],
        *,
        spacing: float | Sequence[float] | None = None,
    ) -> NDArray[np.floating]:
        """See `Drawing.draw`; ClusterError where it is not the image that is at fault."""
        plain = list(spacing) if isinstance(spacing, Sequence) else spacing
        path = str(entry.path.absolute())
        arguments = (entry.name, path, entry.state[0], canvas, plain)
        future = self._client.submit(draw_row, RESAMPLING, *arguments, pure=False, retries=RETRIES)
        while True:
            try:
                row = future.result(timeout=_SECONDS_BETWEEN_LOOKS)
                break
            except TimeoutError:
                if self._cancel is not None:
                    self._cancel.raise_if_cancelled()
            except (Exception, CancelledError) as error:
                raise ClusterError(f"{entry.name}: a worker failed ({one_line(error)})") from error
        if isinstance(row, str):
            raise InputError(row)
        if not isinstance(row, np.ndarray) or row.shape != tuple(canvas) or row.dtype != np.float16:
            raise ClusterError(f"{entry.name}: a worker gave back something else than the image")
        return row


def draw_row(
    resampling: int,
    name: str,
    path: str,
    size: int,
    canvas: tuple[int, ...],
    spacing: float | list[float] | None,
) -> NDArray[np.float16] | str:
    """Work of a task: an image on the working grid, or why it cannot be used. Called on a worker.

    Raises
    ------
    ClusterError
        The worker has another version of the resampling, or another file.
    """
    if resampling != RESAMPLING:
        raise ClusterError("another version of napari-landmark is installed there")
    found, skipped = read_headers([(name, Path(path))], spacing)
    if skipped:
        return skipped[0].reason
    if found[0].state[0] != size:
        raise ClusterError(f"{path} is another file there")
    try:
        drawn = _local().draw(found[0], tuple(canvas), spacing=spacing)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    except InputError as error:
        return str(error)
    return drawn.astype(np.float16)


@functools.lru_cache(maxsize=1)
def _local() -> LocalDrawing:
    return LocalDrawing()
