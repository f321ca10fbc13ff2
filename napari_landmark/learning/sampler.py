"""Seeded samplers of image indices, for one process or several."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

_PERMUTED = 4096  # of more images a permutation costs more than its lack of repetitions is worth


class SeededBatchSampler(Sampler[list[int]]):
    """Endless batches of indices below `count`, without repetition as far as possible.

    Of several processes (ranks) each draws the same joint batch and keeps its own part of it: together they see what
    one process with `world_size` times the batch would. Each rank then needs a generator of the same seed that it
    uses for nothing else. May be the `batch_sampler` of a `torch.utils.data.DataLoader`.

    Parameters
    ----------
    count : int
        Number of images.
    batch_size : int
        Indices a batch and rank.
    generator : torch.Generator
        Its state after a batch decides all later ones, so that a training resumes from a saved state.
    rank, world_size : int
        Number of this process, from 0, and of all processes.

    Raises
    ------
    ValueError
        No images, an empty batch, or a rank outside 0..world_size - 1.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        *,
        generator: torch.Generator,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if count < 1 or batch_size < 1:
            raise ValueError(f"batches of {batch_size} out of {count} images cannot be drawn")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} of {world_size} processes")
        self.count, self.batch_size, self.generator = count, batch_size, generator
        self.rank, self.world_size = rank, world_size

    def __iter__(self) -> Iterator[list[int]]:
        """Yield one list of `batch_size` indices a step, drawn when it is asked for."""
        first = self.rank * self.batch_size
        while True:
            joint = random_indices(self.count, self.batch_size * self.world_size, self.generator)
            yield joint[first : first + self.batch_size]


def random_indices(count: int, draws: int, generator: torch.Generator) -> list[int]:
    """`draws` indices below `count`, without repetition as far as possible."""
    order: list[int] = []
    while len(order) < draws:
        if count <= _PERMUTED:
            order += torch.randperm(count, generator=generator).tolist()
        else:
            order += torch.randint(count, (draws,), generator=generator).tolist()
    return order[:draws]
