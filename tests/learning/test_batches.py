"""Images of a cohort as network input."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.learning.batches import load_batch, shrink_images
from napari_landmark.learning.device import choose_device


def test_a_batch_holds_the_working_images(cohort):
    batch = load_batch(cohort, [2, 0, 2], 1, choose_device("cpu"))
    assert batch.shape == (3, 1, *cohort.canvas)
    assert batch.dtype == torch.float32
    assert torch.equal(batch[1, 0], torch.from_numpy(cohort.working(0)))
    assert torch.equal(batch[0], batch[2])


def test_shrinking_averages_blocks(cohort):
    batch = load_batch(cohort, [1], 2, choose_device("cpu"))
    whole = torch.from_numpy(cohort.working(1))
    assert batch.shape == (1, 1, *(n // 2 for n in cohort.canvas))
    assert batch[0, 0, 3, 5].item() == pytest.approx(whole[6:8, 10:12].mean().item(), abs=1e-6)


@pytest.mark.parametrize("shape", [(8, 12), (8, 4, 12)])
def test_shrinking_in_two_and_three_dimensions(shape):
    images = torch.rand(2, 1, *shape)
    assert shrink_images(images, 1) is images
    assert shrink_images(images, 4).shape == (2, 1, *(n // 4 for n in shape))
    assert shrink_images(images, 4).mean().item() == pytest.approx(images.mean().item(), abs=1e-6)
