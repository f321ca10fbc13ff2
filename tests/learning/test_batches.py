"""Images of a cohort as network input."""

from __future__ import annotations

import math

import pytest
import torch

from napari_landmark.learning.batches import KeptImages, downsample, kept_images, load_batch
from napari_landmark.learning.device import Device, choose_device


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
    assert downsample(images, 1) is images
    assert downsample(images, 4).shape == (2, 1, *(n // 4 for n in shape))
    assert downsample(images, 4).mean().item() == pytest.approx(images.mean().item(), abs=1e-6)


class Counting:
    """A cohort that counts how often an image is read."""

    def __init__(self, cohort):
        self.cohort, self.canvas, self.reads = cohort, cohort.canvas, []

    def __len__(self):
        return len(self.cohort)

    def working(self, number):
        self.reads.append(number)
        return self.cohort.working(number)


class TestKeptImages:
    CPU = choose_device("cpu")

    @pytest.fixture
    def card(self, cohort, monkeypatch):
        """A processor that pretends to be a card with room for four times the cohort."""
        needed = 4 * 2 * math.prod(cohort.canvas) * len(cohort)
        monkeypatch.setattr(Device, "free_memory", lambda _: needed)
        return self.CPU

    def test_kept_images_are_the_cohorts_and_read_once(self, cohort, card):
        counting = Counting(cohort)
        images = kept_images(counting, card)
        assert isinstance(images, KeptImages)
        assert len(images) == len(cohort)
        for numbers in ([2, 0, 2], [1, 2], [0]):
            for downsampling in (1, 2):
                expected = load_batch(cohort, numbers, downsampling, self.CPU)
                assert torch.equal(load_batch(images, numbers, downsampling, card), expected)
        assert sorted(counting.reads) == [0, 1, 2]

    def test_without_room_for_all_they_are_read_each_time(self, cohort, card, monkeypatch):
        needed = card.free_memory()
        monkeypatch.setattr(Device, "free_memory", lambda _: needed - 1)
        counting = Counting(cohort)
        images = kept_images(counting, card)
        assert images is counting
        for _ in range(2):
            expected = load_batch(cohort, [1, 0], 1, self.CPU)
            assert torch.equal(load_batch(images, [1, 0], 1, card), expected)
        assert counting.reads == [1, 0, 1, 0]

    def test_a_processor_keeps_none(self, cohort):
        assert kept_images(cohort, self.CPU) is cohort
