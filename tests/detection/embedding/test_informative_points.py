"""Random points of images, drawn where there is detail."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.detection.embedding.informative_points import (
    detail,
    informative,
    informative_points,
    inside,
    random_points,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class TestPoints:
    @pytest.mark.parametrize("shape", [(20, 30), (8, 12, 16)])
    def test_points_fill_the_canvas(self, shape):
        points = random_points(2, 2000, shape, seeded())
        assert points.shape == (2, 2000, len(shape))
        size = torch.tensor(shape)
        assert ((points >= -0.5) & (points < size - 0.5)).all()
        assert ((points.amin((0, 1)) < 0.5) & (points.amax((0, 1)) > size - 1.5)).all()

    def test_inside(self):
        points = torch.tensor([[[10.0, 10.0], [-1.0, 10.0], [10.0, 30.5], [torch.nan, 3.0], [3.9, 10.0]]])
        assert inside(points, (20, 30)).tolist() == [[True, False, False, False, False]]
        assert inside(points, (20, 30), margin=1).tolist() == [[True, False, False, False, True]]

    @pytest.mark.parametrize("shape", [(64, 64), (32, 32, 32)])
    def test_points_are_drawn_where_there_is_detail(self, shape):
        images = torch.full((1, 1, *shape), 0.5)
        half = shape[0] // 2
        images[:, :, :half] += torch.rand((1, 1, half, *shape[1:]), generator=seeded()) - 0.5
        assert detail(images).shape == (1, 1, *(n // 4 for n in shape))
        points = informative_points(images, 100, seeded())
        assert points.shape == (1, 100, len(shape))
        assert (points[..., 0] < half + 8).all()
        everywhere = random_points(1, 1000, shape, seeded())
        kept = informative(images, everywhere, seeded())
        upper, lower = everywhere[..., 0] < half - 4, everywhere[..., 0] > half + 8
        assert kept[upper].all()
        assert 0.1 < kept[lower].float().mean() < 0.3

    def test_a_blank_image_has_points_too(self):
        points = informative_points(torch.zeros(2, 1, 64, 64), 50, seeded())
        assert points.shape == (2, 50, 2)
        assert points.isfinite().all()
