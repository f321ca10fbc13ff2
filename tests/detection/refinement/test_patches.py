"""Windows hold the pixels around a place, wherever it is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.detection.refinement.patches import crop_patch, crop_patches, crop_patches_around
from napari_landmark.learning.batches import KeptImages, kept_images
from napari_landmark.learning.device import Device, choose_device

SIDES = st.integers(1, 13)
PLACES = st.one_of(st.floats(-40, 40), st.floats(allow_nan=True, allow_infinity=True), st.just(float("nan")))


@st.composite
def situations(draw):
    """A canvas, a centre anywhere, and the side of a window that may be larger than the canvas."""
    dims = draw(st.sampled_from([2, 3]))
    canvas = tuple(draw(st.integers(1, 17)) for _ in range(dims))
    return canvas, np.array([draw(PLACES) for _ in range(dims)]), draw(SIDES)


def numbered(canvas):
    """An image whose pixels say which they are."""
    return np.arange(np.prod(canvas), dtype=np.float32).reshape(canvas)


def expected(image, origin, side):
    """The image at origin + index, pixel by pixel; beyond it the nearest one."""
    window = np.empty((side,) * image.ndim, np.float32)
    for index in itertools.product(range(side), repeat=image.ndim):
        place = np.clip(origin.astype(int) + index, 0, np.array(image.shape) - 1)
        window[index] = image[tuple(place)]
    return window


@given(situations())
def test_a_window_is_the_canvas_at_origin_plus_index(situation):
    canvas, centre, side = situation
    image = numbered(canvas)
    pixels, origin = crop_patch(image.__getitem__, canvas, centre, side)
    assert pixels.dtype == np.float32
    assert (origin == np.round(origin)).all()
    np.testing.assert_array_equal(pixels, expected(image, origin, side))


@given(situations())
def test_the_middle_is_nearest_to_the_place_on_the_canvas(situation):
    canvas, centre, side = situation
    image = numbered(canvas)
    _, origin = crop_patch(image.__getitem__, canvas, centre, side)
    nearest = np.clip(np.nan_to_num(centre), 0, np.array(canvas) - 1)
    assert (np.abs(origin + (side - 1) / 2 - nearest) <= 0.5).all()


@given(situations())
def test_only_what_lies_on_the_canvas_is_read(situation):
    canvas, centre, side = situation
    image, boxes = numbered(canvas), []

    def read(box):
        boxes.append(box)
        return image[box]

    crop_patch(read, canvas, centre, side)
    (box,) = boxes
    for part, length in zip(box, canvas, strict=True):
        assert 0 <= part.start < part.stop <= length
        assert part.stop - part.start <= side


@pytest.mark.parametrize("canvas", [(20, 30), (12, 14, 16)])
def test_windows_of_one_image(canvas):
    image = numbered(canvas)
    centres = np.array([[4.2, 7.7, 9.1], [-50, 8, np.nan], [11, 13, 15]])[:, : len(canvas)]
    pixels, origins = crop_patches_around(image, centres, 8)
    assert pixels.shape == (3, 1, *(8,) * len(canvas))
    assert origins.shape == (3, len(canvas))
    assert pixels.dtype == origins.dtype == torch.float32
    for window, origin in zip(pixels, origins, strict=True):
        np.testing.assert_array_equal(window[0].numpy(), expected(image, origin.numpy(), 8))


class Volumes:
    """A cohort of volumes of which only parts are read."""

    canvas = (10, 12, 14)

    def __len__(self):
        return 3

    def working(self, number):
        return (numbered(self.canvas) % 512) + 512 * number  # whole numbers that half precision can hold

    def working_part(self, number, box):
        return (numbered(self.canvas) + 10_000 * number)[box]


class Pictures(Volumes):
    """The same with two axes."""

    canvas = (20, 24)


def test_windows_of_a_cohort_are_each_of_their_image():
    centres = torch.tensor([[5.0, 6.0, 7.0], [0.2, 0.2, 0.2], [50.0, 6.0, -9.0], [5.0, 6.0, 7.0]])
    numbers = [2, 0, 1, 0]
    pixels, origins = crop_patches(Volumes(), numbers, centres, 6)
    assert pixels.shape == (4, 1, 6, 6, 6)
    for number, window, origin in zip(numbers, pixels, origins, strict=True):
        image = numbered(Volumes.canvas) + 10_000 * number
        np.testing.assert_array_equal(window[0].numpy(), expected(image, origin.numpy(), 6))


def test_a_whole_place_lies_where_the_origin_says():
    image = numbered((64, 64))
    place = np.array([31.0, 12.0])
    pixels, origins = crop_patches_around(image, place[None], 32)
    inside = tuple((torch.from_numpy(place) - origins[0]).int().tolist())
    assert pixels[0, 0][inside] == image[31, 12]


@pytest.mark.parametrize("kind", [Volumes, Pictures])
@pytest.mark.parametrize("room", [True, False])
def test_windows_of_kept_images_are_the_same(kind, room, monkeypatch):
    monkeypatch.setattr(Device, "free_memory", lambda _: 10**9 if room else 0)
    cohort = kind()
    cohort.working_part = lambda number, box: cohort.working(number)[box]
    dims = len(cohort.canvas)
    generator = torch.Generator().manual_seed(0)
    centres = (torch.rand(40, dims, generator=generator) * 2 - 0.5) * torch.tensor(cohort.canvas)
    centres[0] = float("nan")
    numbers = [(2 - n) % 3 for n in range(40)]  # the first to be kept is not the first image
    images = kept_images(cohort, choose_device("cpu"))
    assert isinstance(images, KeptImages) is room
    for side in (6, 32):
        pixels, origins = crop_patches(images, numbers, centres, side)
        expected_pixels, expected_origins = crop_patches(cohort, numbers, centres, side)
        assert pixels.dtype == origins.dtype == torch.float32
        assert torch.equal(pixels, expected_pixels)
        assert torch.equal(origins, expected_origins)
