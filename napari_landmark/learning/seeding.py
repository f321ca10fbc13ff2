"""Random state of torch during a training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Context in which torch's own random numbers follow from a seed: initial weights, and noise made on a card.

    The random states of the processor and of an NVIDIA card are put back afterwards.
    """
    cards = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cards):
        torch.manual_seed(seed)
        yield
