"""Recognition of errors for lack of memory; imported without torch."""

from __future__ import annotations

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
