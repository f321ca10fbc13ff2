"""Positions on canvases and cells of feature maps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_landmark.learning.interpolation import (
    canvas_coordinates,
    cell_coordinates,
    pixel_positions,
    sample,
    sample_features,
)


class TestCells:
    @given(st.floats(-1e3, 1e3), st.sampled_from([1, 2, 4, 8, 16, 32]))
    def test_there_and_back(self, position, stride):
        points = torch.tensor([position], dtype=torch.float64)
        back = canvas_coordinates(cell_coordinates(points, stride), stride)
        torch.testing.assert_close(back, points)

    def test_a_cell_lies_in_the_middle_of_its_pixels(self):
        # Cell 0 of stride 4 covers the pixels 0 to 3, cell 2 the pixels 8 to 11.
        assert canvas_coordinates(torch.tensor([0.0, 2.0]), 4).tolist() == [1.5, 9.5]

    def test_average_pooling_agrees(self):
        ramp = torch.arange(32.0)[None, None, None].expand(1, 1, 32, 32)
        pooled = torch.nn.functional.avg_pool2d(ramp, 8)[0, 0, 0]
        torch.testing.assert_close(pooled, canvas_coordinates(torch.arange(4.0), 8))


@pytest.mark.parametrize("shape", [(20, 30), (10, 12, 14)])
class TestSample:
    def test_a_linear_picture_gives_linear_values(self, shape):
        pixels = pixel_positions(shape)
        picture = (pixels * torch.arange(1.0, len(shape) + 1)).sum(-1)[None, None]
        points = torch.rand(1, 50, len(shape)) * (torch.tensor(shape) - 1)
        values = sample(picture, points)
        assert values.shape == (1, 1, 50)
        expected = (points * torch.arange(1.0, len(shape) + 1)).sum(-1)
        torch.testing.assert_close(values[0], expected, atol=1e-3, rtol=0)

    def test_a_grid_of_positions(self, shape):
        picture = torch.rand(2, 3, *shape)
        grid = pixel_positions(shape).expand(2, *shape, len(shape))
        torch.testing.assert_close(sample(picture, grid), picture, atol=1e-4, rtol=0)

    def test_the_edge_is_repeated(self, shape):
        picture = torch.rand(1, 1, *shape)
        far = torch.full((1, 1, len(shape)), -100.0)
        assert sample(picture, far).item() == pytest.approx(picture.flatten()[0].item())

    def test_nearest(self, shape):
        picture = torch.rand(1, 1, *shape)
        place = torch.full((1, 1, len(shape)), 3.3)
        index = (0, 0, *[3] * len(shape))
        assert sample(picture, place, mode="nearest").item() == picture[index].item()

    def test_features_at_canvas_positions(self, shape):
        maps = pixel_positions(shape).movedim(-1, 0)[None]  # each cell holds its own index
        cells = torch.rand(1, 7, len(shape)) * 8 + 1
        vectors = sample_features(maps, canvas_coordinates(cells, 4), 4)
        torch.testing.assert_close(vectors, cells, atol=1e-3, rtol=0)


def test_a_place_sampled_in_inference_mode_can_be_learned_from_afterwards():
    shape = (1, 1, 37, 41)  # constants are kept by shape: one that no other test has
    with torch.inference_mode():
        sample(torch.ones(shape), torch.zeros(1, 1, 2))
    positions = torch.full((1, 1, 2), 3.3, requires_grad=True)
    sample(torch.rand(shape), positions).sum().backward()
    assert positions.grad.isfinite().all()
