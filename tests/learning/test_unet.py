"""Shapes of the feature maps, and that they see where things are."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.learning.unet import CHANNELS, UNet, fast_memory_format

SMALL = (4, 4, 8, 8, 16)


@pytest.mark.parametrize("finest", [2, 4, 8])
@pytest.mark.parametrize("shape", [(64, 96), (32, 64, 32)])
def test_maps_have_the_strides_they_claim(shape, finest):
    pyramid = UNet(spatial_dims=len(shape), channels=SMALL, finest_stride=finest)
    maps = pyramid(torch.rand(2, 1, *shape))
    assert pyramid.strides[0] == 32
    assert pyramid.strides[-1] == finest
    for found, stride, channels in zip(maps, pyramid.strides, pyramid.out_channels, strict=True):
        assert found.shape == (2, channels, *(n // stride for n in shape))


def test_channels_of_the_input():
    assert UNet(in_channels=3, channels=SMALL)(torch.rand(2, 3, 32, 32))[-1].shape == (2, 4, 8, 8)


def test_every_weight_is_trained():
    pyramid = UNet(channels=SMALL)
    sum(m.square().mean() for m in pyramid(torch.rand(2, 1, 64, 64))).backward()
    assert all(weight.grad is not None for weight in pyramid.parameters())


def test_channel_counts_are_powers_of_two():
    # Others are several times slower in bfloat16 on processors.
    assert all(count & (count - 1) == 0 for count in CHANNELS)


@pytest.mark.parametrize("dims", [2, 3])
def test_memory_layout_changes_nothing_but_speed(dims):
    torch.manual_seed(0)
    pyramid = UNet(spatial_dims=dims, channels=SMALL).eval()
    image = torch.rand(1, 1, *[32] * dims)
    before = pyramid(image)[-1]
    layout = fast_memory_format(dims)
    after = pyramid.to(memory_format=layout)(image.contiguous(memory_format=layout))[-1]
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    "changes",
    [{"channels": (8, 8, 8, 8)}, {"channels": (8,) * 6}, {"channels": (8, 8, 0, 8, 8)}, {"finest_stride": 1}],
)
def test_what_cannot_be_built_is_refused(changes):
    with pytest.raises(ValueError, match="cannot be built"):
        UNet(**changes)
