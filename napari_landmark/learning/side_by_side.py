"""Inference on many images side by side, one thread each.

An image is too small to occupy several cores: threads that share the layers of one image wait for each other most of
the time. Each image on a thread of its own takes every core whole, and gives the same numbers whatever their count.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import closing
from typing import TypeVar

import torch

from napari_landmark.data.cohort.in_threads import in_threads
from napari_landmark.learning.device import Device
from napari_landmark.learning.threads import computing_threads

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST = 8  # images at once: each needs the memory of its own activations
_AHEAD = 2  # images for each thread that are begun before the caller takes their results


def side_by_side(
    work: Callable[[Item], Result], items: Iterable[Item], *, device: Device, ndim: int = 2
) -> Generator[tuple[Item, Future[Result]], None, None]:
    """Yield each item with its finished future, in the order of the items.

    One after the other on a graphics card, which has no cores to share out, and for volumes, each of which fills the
    memory. To be closed (`contextlib.closing`) where it is not used up.

    Parameters
    ----------
    work : callable
        Called from several threads, in each of which torch computes with one thread.
    items : iterable
    device : Device
    ndim : {2, 3}
        Axes of the images.
    """
    threads = min(_MOST, computing_threads())
    if device.torch_device.type != "cpu" or ndim != 2 or threads < 2:
        for item in items:
            yield item, _called(work, item)
        return

    def alone(item: Item) -> Result:
        torch.set_num_threads(1)
        return work(item)

    own = torch.get_num_threads()
    try:
        with closing(in_threads(alone, items, threads=threads, ahead=_AHEAD)) as results:
            yield from results
    finally:
        torch.set_num_threads(own)  # else threads that begin to compute later would have one, too


def _called(work: Callable[[Item], Result], item: Item) -> Future[Result]:
    """Finished future of a call in this thread."""
    future: Future[Result] = Future()
    try:
        future.set_result(work(item))
    except Exception as error:  # belongs to its item, as that of a thread does
        future.set_exception(error)
    return future
