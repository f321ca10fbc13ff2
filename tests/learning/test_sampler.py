"""Seeded batches of indices, of one process and of several."""

from __future__ import annotations

import collections
import itertools

import pytest
import torch
from torch.utils.data import DataLoader

from napari_landmark.learning.sampler import SeededBatchSampler, random_indices


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def batches(number, count, size, **options):
    sampler = SeededBatchSampler(count, size, **{"generator": seeded(), **options})
    return list(itertools.islice(sampler, number))


def test_indices_are_drawn_without_repetition():
    for draws in (1, 3, 7):
        drawn = random_indices(7, draws, seeded())
        assert len(set(drawn)) == draws
        assert set(drawn) <= set(range(7))
    assert sorted(random_indices(2, 6, seeded())) == [0, 0, 0, 1, 1, 1]
    many = random_indices(10**6, 50, seeded())
    assert len(many) == 50
    assert all(0 <= i < 10**6 for i in many)


def test_all_images_are_drawn_alike():
    drawn = collections.Counter(itertools.chain(*batches(900, 10, 3)))
    assert set(drawn) == set(range(10))
    assert 0.75 * 270 < min(drawn.values()) <= max(drawn.values()) < 1.25 * 270


def test_the_same_seed_gives_the_same_batches():
    assert batches(5, 20, 4) == batches(5, 20, 4) != batches(5, 20, 4, generator=seeded(1))


@pytest.mark.parametrize("count", [3, 20, 10**6])
@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_together_draw_what_one_would(count, world_size):
    alone = batches(7, count, 4 * world_size)
    parts = [batches(7, count, 4, rank=rank, world_size=world_size) for rank in range(world_size)]
    together = [list(itertools.chain(*step)) for step in zip(*parts, strict=True)]
    assert together == alone


def test_it_continues_from_the_state_of_its_generator():
    generator = seeded()
    whole = batches(6, 20, 4)
    first = batches(2, 20, 4, generator=generator)
    later = torch.Generator()
    later.set_state(generator.get_state())
    assert first + batches(4, 20, 4, generator=later) == whole


def test_a_data_loader_takes_it():
    data = torch.arange(20) * 10
    loader = DataLoader(data, batch_sampler=SeededBatchSampler(20, 4, generator=seeded()))
    drawn = [batch.tolist() for batch in itertools.islice(loader, 5)]
    assert drawn == [[10 * index for index in batch] for batch in batches(5, 20, 4)]


@pytest.mark.parametrize(
    ("count", "size", "options"),
    [(0, 1, {}), (5, 0, {}), (5, 1, {"rank": 1}), (5, 1, {"rank": -1, "world_size": 2})],
)
def test_what_cannot_be_drawn_is_refused(count, size, options):
    with pytest.raises(ValueError, match=r"cannot be drawn|rank"):
        SeededBatchSampler(count, size, generator=seeded(), **options)
