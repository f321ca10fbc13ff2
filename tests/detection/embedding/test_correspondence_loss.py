"""The loss is low where the right place is the most similar one."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.detection.embedding.correspondence_loss import correspondence_loss
from napari_landmark.learning.interpolation import canvas_coordinates

STRIDES = (8, 4)


def maps(shape=(64, 64), *, seed=0, channels=64):
    """A vector of its own for every cell, on two levels."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, channels, *(n // s for n in shape), generator=generator) for s in STRIDES]


def loss(keys, query_points, key_points, valid=None):
    valid = torch.ones(query_points.shape[:2]) if valid is None else valid
    return correspondence_loss(keys, keys, STRIDES, query_points, key_points, valid)


@pytest.fixture
def places():
    """Centres of cells of the coarse level, and other such places."""
    right = canvas_coordinates(torch.tensor([[[1.0, 2.0], [3.0, 6.0], [5.0, 1.0]]]), 8)
    return right, right.roll(1, dims=1)


class TestLoss:
    def test_low_at_the_right_place_and_high_at_another(self):
        # Both levels agree where a vector lies in the middle of a cell: constant blocks do that for any place.
        keys = [m for m in maps()]
        keys[1] = keys[0].repeat_interleave(2, 2).repeat_interleave(2, 3)
        right = canvas_coordinates(torch.tensor([[[1.0, 2.0], [3.0, 6.0], [5.0, 1.0]]]), 8)
        good, bad = loss(keys, right, right), loss(keys, right, right.roll(1, dims=1))
        assert good < 3.5  # on the fine level four cells are alike
        assert bad > good + 10

    def test_every_level_counts(self, places):
        right, _ = places
        single = [
            correspondence_loss([m], [m], [s], right, right, torch.ones(1, 3))
            for m, s in zip(maps(), STRIDES, strict=True)
        ]
        assert loss(maps(), right, right).item() == pytest.approx(sum(v.item() for v in single), rel=1e-5)

    def test_pairs_without_weight_do_not_count(self, places):
        right, wrong = places
        mixed = right.clone()
        mixed[:, 1] = wrong[:, 1]
        valid = torch.tensor([[True, False, True]])
        expected = loss(maps(), right[:, [0, 2]], right[:, [0, 2]])
        assert loss(maps(), right, mixed, valid).item() == pytest.approx(expected.item(), rel=1e-5)

    def test_nothing_valid_is_no_loss(self, places):
        right, wrong = places
        keys = [m.requires_grad_() for m in maps()]
        value = loss(keys, right, wrong, torch.zeros(1, 3))
        value.backward()
        assert value.item() == 0
        assert all((m.grad == 0).all() for m in keys)

    def test_between_cells_the_target_is_shared(self):
        # One row of cells whose similarity to the query is the same for two neighbours: any place between fits.
        keys = torch.zeros(1, 3, 1, 4)
        keys[0, 0, 0, 1:3], keys[0, 1, 0, 0], keys[0, 2, 0, 3] = 1, 1, 1
        query = canvas_coordinates(torch.tensor([[[0.0, 1.0]]]), 4)
        values = [
            correspondence_loss(
                [keys],
                [keys],
                [4],
                query,
                canvas_coordinates(torch.tensor([[[0.0, x]]]), 4),
                torch.ones(1, 1),
            ).item()
            for x in (1.0, 1.3, 1.8, 2.0)
        ]
        assert values == pytest.approx([values[0]] * 4, abs=1e-4)

    def test_places_outside_count_as_the_border(self):
        keys = maps()
        far, corner = torch.full((1, 1, 2), -500.0), torch.zeros(1, 1, 2)
        query = torch.full((1, 1, 2), 20.0)
        assert loss(keys, query, far).isfinite()
        assert loss(keys, query, far) == pytest.approx(loss(keys, query, corner - 4).item(), rel=1e-4)

    def test_it_is_learned_from(self, places):
        right, _ = places
        keys = [m.requires_grad_() for m in maps()]
        optimizer = torch.optim.Adam(keys, lr=0.05)
        generator = torch.Generator().manual_seed(1)
        query = [torch.randn(m.shape, generator=generator) for m in keys]
        first = None
        for _ in range(40):
            optimizer.zero_grad()
            value = correspondence_loss(query, keys, STRIDES, right, right, torch.ones(1, 3))
            value.backward()
            optimizer.step()
            first = first or value.item()
        assert value.item() < 0.5 * first

    def test_volumes(self):
        generator = torch.Generator().manual_seed(0)
        key = torch.randn(2, 32, 4, 5, 6, generator=generator)
        cells = torch.tensor([[[1.0, 2.0, 3.0], [0.0, 4.0, 5.0]]]).expand(2, -1, -1)
        points = canvas_coordinates(cells, 8)
        good = correspondence_loss([key], [key], [8], points, points, torch.ones(2, 2))
        bad = correspondence_loss([key], [key], [8], points, points.flip(1), torch.ones(2, 2))
        assert good < 0.2
        assert bad > 5
