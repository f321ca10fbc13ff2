"""Positions on the working grid and in cells of feature maps, and values there."""

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
        position = torch.full((1, 1, len(shape)), 3.3)
        index = (0, 0, *[3] * len(shape))
        assert sample(picture, position, mode="nearest").item() == picture[index].item()

    def test_features_at_canvas_positions(self, shape):
        maps = pixel_positions(shape).movedim(-1, 0)[None]  # each cell holds its own index
        cells = torch.rand(1, 7, len(shape)) * 8 + 1
        vectors = sample_features(maps, canvas_coordinates(cells, 4), 4)
        torch.testing.assert_close(vectors, cells, atol=1e-3, rtol=0)


def border_padding(maps, positions, mode):
    """Values by grid_sample's own replication of the edge."""
    sides = torch.tensor(maps.shape[2:], dtype=positions.dtype)
    grid = ((2 * positions + 1) / sides - 1).flip(-1)
    grid = grid.reshape(len(maps), -1, *[1] * (len(sides) - 1), len(sides))
    values = torch.nn.functional.grid_sample(
        maps, grid, mode=mode, padding_mode="border", align_corners=False
    )
    return values.flatten(2)


@st.composite
def shapes_and_positions(draw):
    """A shape, and positions inside it, on its edges and beyond; none halfway between cells, where nearest is open."""
    shape = draw(st.lists(st.integers(1, 9), min_size=2, max_size=3))
    axes = [
        st.one_of(
            st.sampled_from([0.0, n - 1.0, -1.0, float(n), -1e6, 1e6]),
            st.floats(-2 * n, 3 * n).map(lambda x: round(x, 2)).filter(lambda x: abs(x % 1 - 0.5) > 1e-3),
        )
        for n in shape
    ]
    return shape, draw(st.lists(st.tuples(*axes), min_size=1, max_size=6))


def is_between_cells(positions, shape):
    """Coordinates without the kinks at the centres of cells, where the gradient is one-sided."""
    last = torch.tensor(shape, dtype=positions.dtype) - 1
    beyond = (positions < 0) | (positions > last)
    return beyond | ((positions - positions.round()).abs() > 1e-6)


class TestEdges:
    @given(shapes_and_positions(), st.sampled_from(["bilinear", "nearest"]), st.integers(0, 2**16))
    def test_agrees_with_border_padding(self, drawn, mode, seed):
        shape, points = drawn
        generator = torch.Generator().manual_seed(seed)
        results = []
        weights = torch.rand(2, len(points), generator=generator, dtype=torch.float64)
        picture = torch.rand(1, 2, *shape, generator=generator, dtype=torch.float64)
        for function in (border_padding, lambda maps, points, mode: sample(maps, points, mode=mode)):
            maps = picture.clone().requires_grad_()
            positions = torch.tensor([points], dtype=torch.float64, requires_grad=True)
            values = function(maps, positions, mode)
            (values * weights).sum().backward()
            results.append((values.detach(), maps.grad, positions.grad))
        (values, maps, slopes), (own_values, own_maps, own_slopes) = results
        torch.testing.assert_close(own_values, values, atol=1e-9, rtol=0)
        torch.testing.assert_close(own_maps, maps, atol=1e-9, rtol=0)
        smooth = is_between_cells(torch.tensor([points], dtype=torch.float64), shape).all(-1)
        torch.testing.assert_close(own_slopes[smooth], slopes[smooth], atol=1e-7, rtol=0)

    @pytest.mark.parametrize(
        "shape", [(1, 1), (5, 640), (768, 3), (37, 41), (1, 5, 192), (33, 7, 2), (191, 97)]
    )
    def test_single_precision_never_mixes_in_a_value_from_outside(self, shape):
        picture = torch.ones(1, 1, *shape)
        positions = pixel_positions(shape)[None].repeat(3, *[1] * (len(shape) + 1))
        positions[1] -= 1e-6
        positions[2] += 1e-6
        positions.requires_grad_()
        values = sample(picture.expand(3, *picture.shape[1:]), positions)
        values.sum().backward()
        torch.testing.assert_close(values, torch.ones_like(values), atol=1e-6, rtol=0)
        # A zero mixed in at the edge would pull by its whole difference of 1.
        torch.testing.assert_close(positions.grad, torch.zeros_like(positions.grad), atol=1e-4, rtol=0)

    @pytest.mark.parametrize("shape", [(5, 7), (4, 5, 6), (768, 640), (191, 30)])
    def test_no_gradient_on_an_edge_and_beyond(self, shape):
        last = torch.tensor(shape) - 1.0
        positions = torch.stack([last * 0, last, last * 0 - 3, last + 3])[None].requires_grad_()
        sample(torch.rand(1, 2, *shape), positions).sum().backward()
        assert positions.grad.abs().max() == 0


def test_positions_sampled_in_inference_mode_can_be_trained_with_afterwards():
    shape = (1, 1, 37, 41)  # constants are kept by shape: one that no other test has
    with torch.inference_mode():
        sample(torch.ones(shape), torch.zeros(1, 1, 2))
    positions = torch.full((1, 1, 2), 3.3, requires_grad=True)
    sample(torch.rand(shape), positions).sum().backward()
    assert positions.grad.isfinite().all()
