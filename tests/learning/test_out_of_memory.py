"""Errors for lack of memory are told from others."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.learning.out_of_memory import is_out_of_memory, with_smaller_batches


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GB)"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried ..."
        ),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
    ],
)
def test_lack_of_memory(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory of the past")])
def test_other_errors(error):
    assert not is_out_of_memory(error)


class Card:
    """Trains with batches up to a size, and fails as a card does with larger ones."""

    def __init__(self, largest):
        self.largest, self.tried = largest, []

    def train(self, size):
        self.tried.append(size)
        if size > self.largest:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return size


def test_batches_are_halved_until_they_fit(caplog):
    card = Card(largest=3)
    assert with_smaller_batches(card.train, 8, device="cuda (Card)") == 2
    assert card.tried == [8, 4, 2]
    assert (
        caplog.messages
        == ["the memory of cuda (Card) does not suffice: going on with batches of half the size"] * 2
    )


def test_batches_that_fit_stay(caplog):
    assert with_smaller_batches(Card(largest=8).train, 8, device="cpu") == 8
    assert not caplog.messages


def test_the_least_batch_that_does_not_fit_is_an_error():
    card = Card(largest=1)
    with pytest.raises(torch.OutOfMemoryError):
        with_smaller_batches(card.train, 8, device="cpu", least=2)
    assert card.tried == [8, 4, 2]


def test_other_errors_are_not_tried_again():
    def train(size):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        with_smaller_batches(train, 8, device="cpu")
