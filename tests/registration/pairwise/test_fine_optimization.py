"""Composed steps follow what is left on the finer grids of a volume."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from napari_landmark.learning.device import choose_device
from napari_landmark.progress import CancelToken
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.networks.registration_network import compose_alignment
from napari_landmark.registration.pairwise.fine_optimization import optimize_finely
from napari_landmark.registration.pairwise.pair import PreparedPair
from napari_landmark.registration.transform.fields_torch import jacobian_determinant

SIDE = 64


def start(pair, down=0.0):
    velocity = torch.zeros(1, 3, *[n // 2 for n in pair.shape])
    return compose_alignment(torch.eye(3)[None], torch.tensor([[down, 0.0, 0.0]]), velocity, pair.shape)


@pytest.fixture
def shifted(drawn):
    """A volume that is shifted by three voxels along its first axis."""
    array = drawn.texture((SIDE + 8, SIDE, SIDE))
    images = [drawn.image(np.ascontiguousarray(array[z : z + SIDE])) for z in (3, 0)]
    return PreparedPair.from_images(*images, working_size=2 * SIDE, device=choose_device("cpu"))


def test_a_shift_is_found_from_coarse_to_fine(shifted):
    assert shifted.shape == (SIDE,) * 3
    found, terms = optimize_finely(shifted, start(shifted, 2.0), steps=22, weights=LossWeights())
    inner = found.displacement[0, :, 16:-16, 16:-16, 16:-16].flatten(1)
    assert inner.mean(1).tolist() == pytest.approx([3, 0, 0], abs=0.2)
    assert float((inner - torch.tensor([[3.0], [0], [0]])).norm(dim=0).mean()) < 0.5
    assert {"similarity", "bending", "jacobian"} <= set(terms)


def test_a_local_deformation_is_followed_without_folds(drawn):
    """Up to two voxels to and fro over 32."""
    array = drawn.texture((SIDE,) * 3)
    grid = np.indices(array.shape).astype(float)
    wave = 2 * np.sin(grid[2] / SIDE * 4 * np.pi)
    moved = map_coordinates(array.astype(float), grid + np.stack([wave, 0 * wave, 0 * wave]), order=1)
    images = [drawn.image(np.ascontiguousarray(one).astype(array.dtype)) for one in (moved, array)]
    pair = PreparedPair.from_images(*images, working_size=2 * SIDE, device=choose_device("cpu"))
    found, _ = optimize_finely(pair, start(pair), steps=30, weights=LossWeights(bending=0.2))
    off = found.displacement[0, 0].numpy() - wave
    inner = (slice(12, -12),) * 3
    assert np.abs(off[inner]).mean() < np.abs(wave[inner]).mean() / 2
    assert float(jacobian_determinant(found.displacement).min()) > 0


def test_an_initialization_keeps_its_detail_on_coarser_grids(drawn):
    array = drawn.texture((32, 48, 32))
    pair = PreparedPair.from_images(*[drawn.image(array)] * 2, working_size=96, device=choose_device("cpu"))
    assert pair.shape == (32, 48, 32)
    matrix = torch.tensor([[[1.1, 0.1, 0], [0, 0.9, 0.2], [0.05, 0, 1]]])
    velocity = torch.randn(1, 3, 16, 24, 16, generator=torch.Generator().manual_seed(0))
    initial = compose_alignment(matrix, torch.tensor([[1.0, -2, 0.5]]), velocity, pair.shape)
    cancel = CancelToken()
    cancel.cancel()
    found, terms = optimize_finely(pair, initial, steps=11, weights=LossWeights(), cancel=cancel)
    torch.testing.assert_close(found.displacement, initial.displacement, atol=1e-4, rtol=0)
    assert terms == {}


def test_progress_counts_what_steps_cost(shifted):
    """Of 21 steps 14 are on the coarser grid, an eighth of the work each."""
    seen = []
    optimize_finely(shifted, start(shifted), steps=21, weights=LossWeights(), progress=seen.append)
    fractions = [event.fraction for event in seen]
    assert fractions == sorted(fractions) and fractions[0] == 0
    assert {event.step: event.fraction for event in seen}[10] < 0.2
    assert all(np.isfinite(event.seconds_left) and event.seconds_left >= 0 for event in seen)


def test_a_cancel_keeps_what_was_reached(shifted):
    cancel = CancelToken()

    def stop(event):
        if event.step >= 15:
            cancel.cancel()

    found, _ = optimize_finely(
        shifted, start(shifted), steps=60, weights=LossWeights(), progress=stop, cancel=cancel
    )
    inner = found.displacement[0, 0, 16:-16, 16:-16, 16:-16]
    assert 0.5 < float(inner.mean()) < 3.5


def test_without_anything_to_compare_the_initialization(shifted):
    initial = start(shifted, 1.0)
    nothing = LossWeights(similarity=0, dice=0, bending=0, jacobian=0, landmarks=0)
    assert optimize_finely(shifted, initial, steps=5, weights=nothing) == (initial, {})
