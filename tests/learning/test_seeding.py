"""Initial weights depend on the seed, and the caller's random state on neither."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_landmark.learning.seeding import seeded

CPU = torch.device("cpu")


def weights(seed):
    with seeded(seed, CPU):
        return nn.Linear(3, 4).weight.detach()


def test_weights_are_those_of_the_seed():
    torch.manual_seed(7)
    expected = nn.Linear(3, 4).weight.detach()
    assert torch.equal(weights(7), expected)
    assert not torch.equal(weights(8), expected)


def test_the_random_state_is_put_back_even_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="inside"), seeded(1, CPU):
        torch.rand(3)
        raise RuntimeError("inside")
    assert torch.equal(torch.get_rng_state(), state)
