"""Initial weights from a seed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def seeded_initialization(seed: int) -> Iterator[None]:
    """Context in which networks get the initial weights of a seed; the random state of torch is put back.

    Only the generator of the processor is set, on which networks are made: everything else draws from generators of
    its own.
    """
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
