"""Maps of a patch embedding, and matches in patches to a fraction of a cell."""

from __future__ import annotations

import math

import pytest
import torch

from napari_landmark.detection.refinement.patch_embedding import (
    PRIOR_WEIGHT,
    PatchEmbedding,
    PatchEmbeddingConfig,
    patch_similarity,
)
from napari_landmark.learning.interpolation import canvas_coordinates, pixel_positions

SMALL = (8, 8, 8, 16, 16)


def network(dims=2, window=32, size=16):
    torch.manual_seed(0)
    return PatchEmbedding(PatchEmbeddingConfig(dims, window, size, SMALL))


class TestConfig:
    @pytest.mark.parametrize(
        ("canvas", "window"),
        [
            ((768, 640), 64),
            ((96, 128), 64),
            ((64, 64), 64),
            ((128, 64), 64),
            ((128, 128, 128), 64),
            ((192, 64, 448), 64),
            ((40, 100), 32),
        ],
    )
    def test_the_largest_patch_that_fits(self, canvas, window):
        config = PatchEmbeddingConfig.for_canvas(canvas)
        assert config.spatial_dims == len(canvas)
        assert config.window == window
        assert config.window % 32 == 0

    def test_its_description_makes_the_same_architecture(self):
        config = PatchEmbeddingConfig(3, 64, 16, SMALL)
        assert PatchEmbeddingConfig(**config.to_json()) == config


@pytest.mark.parametrize("dims", [2, 3])
def test_maps_are_unit_vectors_at_both_strides(dims, cpu):
    embedding = network(dims)
    maps = embedding.embed(torch.rand(2, 1, *(32,) * dims), cpu)
    assert [m.shape for m in maps] == [(2, 16, *(32 // s,) * dims) for s in embedding.strides]
    for m in maps:
        torch.testing.assert_close(m.norm(dim=1), torch.ones(2, *m.shape[2:]))
    assert not embedding.training


class Planted:
    """Maps of vectors of the position: their cosine is a Gaussian of the distance."""

    def __init__(self, dims, window=48, width=6.0, channels=768):
        self.dims, self.window = dims, window
        self.frequencies = torch.randn(dims, channels, generator=torch.Generator().manual_seed(0)) / width

    def vectors(self, places):
        phase = places @ self.frequencies
        return torch.cat([phase.cos(), phase.sin()], -1) / math.sqrt(self.frequencies.shape[1])

    def maps(self, count, corner=0):
        """Of `count` equal patches; from `corner` pixels on."""
        found = []
        for stride in PatchEmbedding.strides:
            cells = pixel_positions(((self.window - 2 * corner) // stride,) * self.dims)
            vectors = self.vectors(canvas_coordinates(cells, stride) + corner)
            found.append(vectors.movedim(-1, 0).expand(count, *[-1] * (self.dims + 1)))
        return found


@pytest.mark.parametrize("dims", [2, 3])
class TestPatchSimilarity:
    def places(self, dims, count=12):
        return 18 + 12 * torch.rand(count, 1, dims, generator=torch.Generator().manual_seed(1))

    @pytest.mark.parametrize("corner", [0, 8])
    def test_a_planted_vector_is_found_to_a_fraction_of_a_cell(self, dims, corner):
        planted, places = Planted(dims), self.places(dims)
        away = torch.randn(places.shape, generator=torch.Generator().manual_seed(2)).sign() * 2
        found, similarity = patch_similarity(
            [planted.vectors(places)] * 2,
            planted.maps(len(places), corner),
            places + away,
            8.0,
            corner=corner,
        )
        assert found.shape == places.shape
        assert (found - places).abs().max() < 0.5
        assert (found - places).abs().mean() < 0.25
        assert (found - places).mean().abs() < 0.1
        assert ((similarity > 0.85) & (similarity <= 1.1)).all()

    def test_the_prior_decides_between_places_alike(self, dims):
        maps = [torch.zeros(1, 2, *(48 // s,) * dims) for s in PatchEmbedding.strides]
        cells = [(3,) * dims, (8,) * dims]  # of the coarse level: 20 pixels apart
        for cell in cells:
            maps[0][(0, 0, *cell)] = 1
            maps[1][(0, 0, *[slice(2 * n, 2 * n + 2) for n in cell])] = 1
        vectors = [torch.tensor([[[1.0, 0.0]]])] * 2
        for cell in cells:
            place = canvas_coordinates(torch.tensor(cell).float(), 4)
            found, _ = patch_similarity(vectors, maps, (place + 2)[None, None], 6.0)
            assert (found[0, 0] - place).abs().max() < 2.5

    def test_the_prior_says_how_far_one_goes_for_more_likeness(self, dims):
        planted = Planted(dims, width=3.0)
        near, far = torch.full((1, 1, dims), 17.0), torch.full((1, 1, dims), 29.0)
        # Most like the far place, almost as much like the near one.
        vectors = [planted.vectors(near) * 0.9 + planted.vectors(far)] * 2
        maps = planted.maps(1)
        narrow, _ = patch_similarity(vectors, maps, near, 2.0)
        wide, _ = patch_similarity(vectors, maps, near, 1e4)
        assert (narrow - near).abs().max() < 1
        assert (wide - far).abs().max() < 1

    def test_the_similarity_is_that_of_the_place_whatever_was_expected(self, dims):
        planted, places = Planted(dims), self.places(dims)
        vectors, maps = [planted.vectors(places)] * 2, planted.maps(len(places))
        _, plain = patch_similarity(vectors, maps, places, 1e4)
        _, far = patch_similarity(vectors, maps, places + 3, 2.0)
        assert (far > plain - 0.1).all()
        shares = PRIOR_WEIGHT * dims * 9 / (2 * 2.0**2)
        assert shares > 0.07  # what the similarity would lack, were it lessened by the distance
        _, there = patch_similarity(vectors, maps, places, 2.0)
        assert (there - plain).abs().max() < 0.03

    def test_each_of_a_batch_is_found_in_its_own_maps(self, dims):
        planted = Planted(dims)
        maps = [torch.cat([m, m.flip(2)]) for m in planted.maps(1)]
        place = torch.full((2, 1, dims), 20.0)
        place[1, 0, 0] = 47 - 20
        found, _ = patch_similarity([planted.vectors(torch.full((2, 1, dims), 20.0))] * 2, maps, place, 8.0)
        assert (found - place).abs().max() < 0.5
