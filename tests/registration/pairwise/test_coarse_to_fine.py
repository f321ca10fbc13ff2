"""Steps by grid, affine maps between grids, and one length for all steps."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.registration.pairwise.coarse_to_fine import (
    affine_on_grid,
    step_direction,
    steps_by_level,
)

SHARES = {4: 4 / 7, 2: 3 / 7}


@pytest.mark.parametrize(
    ("shape", "steps", "expected"),
    [
        ((64, 64, 64), 70, [(4, 40), (2, 30)]),
        ((64, 64, 16), 70, [(2, 70)]),
        ((64, 64, 8), 70, [(1, 70)]),
        ((64, 64, 64), 1, [(4, 1)]),
        ((64, 64, 64), 0, []),
    ],
)
def test_all_steps_are_taken_on_grids_that_are_large_enough(shape, steps, expected):
    assert steps_by_level(shape, steps, shares=SHARES) == expected


def test_an_affine_map_moves_the_same_points_on_another_grid():
    old, new = (16, 24, 32), (32, 24, 8)
    matrix, shift = torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(0)), torch.ones(1, 3)
    there, moved = affine_on_grid(matrix, shift, old=old, new=new)
    ratio = torch.tensor([2.0, 1.0, 0.25])
    point = torch.tensor([3.0, -2.0, 5.0])  # from the centre
    torch.testing.assert_close(there[0] @ (point * ratio) + moved[0], (matrix[0] @ point + shift[0]) * ratio)


def test_the_steepest_move_by_one_cell_and_noise_stays_noise():
    gradient = 1e-9 * torch.randn(1, 3, 20, 20, 20, generator=torch.Generator().manual_seed(0))
    gradient[:, :, :8] = torch.tensor([3.0, 0.0, 4.0]).view(1, 3, 1, 1, 1)
    found = step_direction(gradient).norm(dim=1)[0]
    torch.testing.assert_close(found[:8], torch.ones(8, 20, 20))
    assert float(found[8:].max()) < 1e-8
    assert float(step_direction(torch.zeros(1, 3, 4, 4, 4)).abs().max()) == 0
