"""Cascade comparing finds the place again, to a fraction of a cell."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.detection.embedding.feature_matching import (
    describe,
    match_points,
    match_vectors,
    sub_cell_peak,
)
from napari_landmark.learning.interpolation import canvas_coordinates, pixel_positions


def gaussian(centre, shape, sigma):
    return torch.exp(-(pixel_positions(shape) - centre).square().sum(-1) / (2 * sigma**2))


class TestPeak:
    @pytest.mark.parametrize("shape", [(20, 24), (12, 14, 16)])
    @pytest.mark.parametrize("sigma", [2.5, 3.5])
    def test_of_a_drawn_gaussian(self, shape, sigma):
        centres = 3 + torch.rand(30, len(shape), generator=torch.Generator().manual_seed(0)) * (
            torch.tensor(shape) - 7
        )
        cells, height = sub_cell_peak(torch.stack([gaussian(c, shape, sigma) for c in centres])[None])
        assert (cells[0] - centres).abs().max() < 0.3
        assert (cells[0] - centres).abs().mean() < 0.15
        assert (height > 0.85).all()

    def test_on_the_border(self):
        heat = torch.zeros(1, 4, 6, 7)
        corners = [(0, 0), (0, 6), (5, 0), (5, 6)]
        for k, (y, x) in enumerate(corners):
            heat[0, k, y, x] = 1
        cells, height = sub_cell_peak(heat)
        torch.testing.assert_close(cells[0], torch.tensor(corners, dtype=torch.float32), atol=1e-3, rtol=0)
        assert (height == 1).all()

    def test_of_a_flat_map_lies_within_it(self):
        cells, height = sub_cell_peak(torch.zeros(1, 1, 5, 5))
        assert ((cells >= 0) & (cells <= 4)).all()
        assert (height == 0).all()


class TestMatch:
    @pytest.fixture(params=[(128, 96), (64, 48, 64)], ids=["2-D", "3-D"])
    def world(self, request, perfect_cohort):
        return perfect_cohort(count=3, canvas=request.param)

    def maps(self, world, number):
        image = torch.from_numpy(world.working(number))[None, None]
        return world.embedding.embed(image)

    def test_a_perfect_embedding_is_matched_within_a_pixel(self, world):
        strides = world.embedding.strides
        points = torch.tensor(world.truth[0], dtype=torch.float32)[None]
        for number in range(3):
            found = match_points(self.maps(world, 0), self.maps(world, number), strides, points)
            truth = torch.tensor(world.truth[number], dtype=torch.float32)
            assert (found.positions[0] - truth).norm(dim=-1).max() < 1.5
            assert (found.similarity > 0.7).all()

    def test_vectors_at_cells_are_found_exactly(self):
        generator = torch.Generator().manual_seed(0)
        fine = torch.nn.functional.normalize(torch.randn(1, 64, 12, 10, generator=generator), dim=1)
        cells = torch.tensor([[[0.0, 0.0], [11.0, 9.0], [4.0, 7.0]]])
        points = canvas_coordinates(cells, 4)
        found = match_points([fine], [fine], [4], points)
        torch.testing.assert_close(found.positions, points, atol=0.05, rtol=0)
        torch.testing.assert_close(found.similarity, torch.ones(1, 3))

    def test_vectors_have_length_one(self, world):
        points = torch.tensor(world.truth[0], dtype=torch.float32)[None]
        for vectors in describe(self.maps(world, 0), world.embedding.strides, points):
            assert vectors.shape[:2] == points.shape[:2]
            torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(points.shape[:2]))

    def test_coarse_levels_choose_between_places_alike(self):
        # Two places look the same on the fine level; the coarse one knows which half of the image is meant.
        coarse = torch.zeros(1, 2, 1, 2)
        coarse[0, 0, 0, 0] = coarse[0, 1, 0, 1] = 1
        fine = torch.zeros(1, 2, 4, 8)
        fine[:, 1] = 1
        for x in (1, 6):
            fine[0, :, 2, x] = torch.tensor([1.0, 0.0])
        for x in (1, 6):
            points = canvas_coordinates(torch.tensor([[[2.0, float(x)]]]), 4)
            found = match_points([coarse, fine], [coarse, fine], [16, 4], points)
            assert (found.positions - points).abs().max() < 1

    def test_heatmaps_on_request(self, world):
        strides = world.embedding.strides
        maps = self.maps(world, 0)
        vectors = describe(maps, strides, torch.tensor(world.truth[0], dtype=torch.float32)[None])
        assert match_vectors(vectors, maps, strides).heatmaps is None
        found = match_vectors(vectors, maps, strides, keep_heatmaps=True)
        assert found.heatmaps.shape == (1, len(world.anatomy), *(n // strides[-1] for n in world.canvas))
        torch.testing.assert_close(found.heatmaps.flatten(2).amax(-1), found.similarity)
        assert found.heatmaps.min() >= 0
