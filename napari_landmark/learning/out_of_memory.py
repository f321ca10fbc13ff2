"""Recognition of errors for lack of memory, and smaller batches where there is too little; imported without torch."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable
from typing import TypeVar

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_PHRASES = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
)  # of cards, of torch on a processor


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error tells that the memory of a card or of the machine does not suffice."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _PHRASES)


def with_smaller_batches(
    train: Callable[[int], Result], size: int, *, device: object, least: int = 1
) -> Result:
    """Train with batches of a size; where the memory does not suffice, again with half of it, and so on.

    Parameters
    ----------
    train : callable
        Trains with batches of the given size, and goes on from its last checkpoint when it is called again.
    size : int
        To begin with: a number of images, or a multiple of one.
    device : object
        In words, for the warning.
    least : int
        Size below which the lack of memory is an error.

    Raises
    ------
    RuntimeError, MemoryError
        The memory does not suffice for batches of the least size.
    """
    while True:
        try:
            return train(size)
        except (RuntimeError, MemoryError) as error:
            if size // 2 < least or not is_out_of_memory(error):
                raise
        # After the error is gone, which holds on to the tensors of its functions.
        size //= 2
        free_memory()
        logger.warning("the memory of %s does not suffice: going on with batches of half the size", device)


def free_memory() -> None:
    """Give back what no tensor uses any more."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
