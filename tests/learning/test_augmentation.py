"""Points and pictures are distorted alike, and there is a way back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_landmark.learning.augmentation import (
    AppearanceRange,
    Distortion,
    DistortionRange,
    random_appearance,
)
from napari_landmark.learning.interpolation import pixel_positions

STILL = DistortionRange(rotation=0, scale=1, aspect=1, shift=0, elastic=0)


def draw(seed, shape, *, batch=2, **options):
    options.setdefault("ranges", DistortionRange())
    return Distortion.random(batch, shape, generator=torch.Generator().manual_seed(seed), **options)


def blobs(points, shape, sigma=2.0):
    """(k, 1, *shape) one Gaussian blob a picture."""
    squared = (
        (pixel_positions(shape)[None] - points.view(len(points), *[1] * len(shape), -1)).square().sum(-1)
    )
    return torch.exp(-squared / (2 * sigma**2))[:, None]


def centres(pictures):
    """(k, d) centre of mass."""
    weights = pictures[:, 0].flatten(1)
    positions = pixel_positions(tuple(pictures.shape[2:])).flatten(0, -2)
    return (weights @ positions) / weights.sum(1, keepdim=True)


class TestDistortion:
    @pytest.mark.parametrize("shape", [(224, 192), (48, 44, 48)])
    def test_a_blob_lands_where_its_centre_does(self, shape):
        # A mild field: within a blob it is as good as linear, so that the centre of mass is the mapped centre.
        mild = DistortionRange(elastic=0.01)
        for seed in range(4):
            distortion = draw(seed, shape, ranges=mild, batch=6)
            middle = torch.tensor(shape) / 2
            uniform = torch.rand(6, len(shape), generator=torch.Generator().manual_seed(seed))
            points = middle + (uniform - 0.5) * torch.tensor(shape) * 0.25
            landed = distortion.output_of(points[:, None])[:, 0]
            found = centres(distortion.apply(blobs(points, shape, sigma=1.3)))
            assert (found - landed).norm(dim=-1).max() < 0.1

    @pytest.mark.parametrize("shape", [(96, 80), (32, 40, 36)])
    def test_the_picture_is_sampled_where_points_come_from(self, shape):
        distortion = draw(5, shape)
        points = pixel_positions(shape).flatten(0, -2)[::37].expand(2, -1, -1)
        from_grid = distortion.grid().flatten(1, -2)[:, ::37]
        torch.testing.assert_close(from_grid, distortion.source_of(points), atol=2e-3, rtol=0)

    @settings(max_examples=40)
    @given(st.integers(0, 2**31), st.sampled_from([(96, 80), (64, 64), (32, 40, 36)]))
    def test_there_and_back(self, seed, shape):
        distortion = draw(seed, shape)
        size = torch.tensor(shape, dtype=torch.float32)
        points = torch.rand(2, 60, len(shape)) * size
        back = distortion.source_of(distortion.output_of(points))
        error = (back - points).norm(dim=-1)
        kept = ~error.isnan()
        assert kept.float().mean() > 0.5
        assert error[kept].max() < 0.01

    def test_typical_distortions_hardly_fold(self):
        lost = [
            draw(seed, (96, 96)).output_of(torch.rand(2, 100, 2) * 96).isnan().float().mean()
            for seed in range(20)
        ]
        assert sum(lost) / len(lost) < 0.03

    def test_a_fold_gives_nan(self):
        distortion = draw(0, (64, 64), ranges=DistortionRange(elastic=0.6))
        assert (
            distortion.output_of(pixel_positions((64, 64)).flatten(0, 1)[None].expand(2, -1, -1))
            .isnan()
            .any()
        )

    def test_nothing_to_do(self):
        distortion = draw(0, (50, 60), ranges=STILL)
        points = torch.rand(2, 10, 2) * 50
        torch.testing.assert_close(distortion.output_of(points), points, atol=1e-3, rtol=0)
        pictures = torch.rand(2, 1, 50, 60)
        torch.testing.assert_close(distortion.apply(pictures), pictures, atol=1e-3, rtol=0)

    def test_ranges_are_kept(self):
        ranges = DistortionRange(rotation=10, scale=1.3, aspect=1.1, shift=0.05, elastic=0)
        distortion = draw(3, (100, 80), ranges=ranges, batch=200)
        stretch = distortion.matrices.det().sqrt()
        assert stretch.max() <= 1.3 * 1.1
        assert stretch.min() >= 1 / (1.3 * 1.1)
        assert stretch.max() > 1.2
        angles = torch.atan2(distortion.matrices[:, 1, 0], distortion.matrices[:, 0, 0]).rad2deg().abs()
        assert 8 < angles.max() <= 10
        moved = (distortion.centers - torch.tensor([49.5, 39.5])).abs().amax(0)
        assert (moved <= torch.tensor([5.0, 4.0])).all()

    def test_crops_are_taken_where_they_are_pinned(self):
        centres_wanted = torch.tensor([[20.0, 30.0], [50.0, 60.0]])
        distortion = draw(0, (96, 96), ranges=STILL, output_shape=(17, 17), centers=centres_wanted)
        middle = distortion.source_of(torch.full((2, 1, 2), 8.0))[:, 0]
        torch.testing.assert_close(middle, centres_wanted)
        assert distortion.apply(torch.rand(2, 1, 96, 96)).shape == (2, 1, 17, 17)

    def test_same_seed_same_distortion(self):
        points = torch.rand(2, 10, 2) * 64
        assert torch.equal(draw(7, (64, 64)).source_of(points), draw(7, (64, 64)).source_of(points))
        assert not torch.equal(draw(8, (64, 64)).source_of(points), draw(7, (64, 64)).source_of(points))


@pytest.mark.parametrize("shape", [(48, 64), (16, 24, 20)])
class TestAppearance:
    def test_changes_intensities_only(self, shape):
        # A blob stays where it is, whatever its exposure; noise and blocks are left out.
        point = torch.tensor([[n / 2 for n in shape]])
        pictures = blobs(point, shape, sigma=1.5).repeat(5, 1, *[1] * len(shape))
        ranges = AppearanceRange(noise=0, occlusion=0, bias=0)
        seen = random_appearance(pictures, generator=torch.Generator().manual_seed(0), ranges=ranges)
        assert seen.shape == pictures.shape
        peaks = seen.flatten(1).argmax(1)
        assert (peaks == pictures.flatten(1).argmax(1)).all()
        assert not torch.allclose(seen, pictures)

    def test_finite_and_the_input_stays(self, shape):
        for value in (0.0, 1.0):
            pictures = torch.full((8, 1, *shape), value)
            seen = random_appearance(pictures, generator=torch.Generator().manual_seed(1))
            assert seen.isfinite().all()
            assert (pictures == value).all()

    def test_blocks_hide_something(self, shape):
        ranges = AppearanceRange(0, 0, 0, 0, 0, occlusion=1)
        pictures = torch.rand(6, 1, *shape)
        seen = random_appearance(pictures, generator=torch.Generator().manual_seed(2), ranges=ranges)
        changed = (seen - pictures).abs() > 1e-3
        assert changed.flatten(1).any(1).all()
        for axis in range(2, pictures.ndim):
            others = [k for k in range(1, pictures.ndim) if k != axis]
            length = changed.float().amax(others).sum(1)
            assert (length >= 1).all()
            assert (length <= 0.2 * pictures.shape[axis] + 1).all()

    def test_some_are_left_as_they_are(self, shape):
        ranges = AppearanceRange(0, 0, 0, 0, 0, occlusion=0.3)
        pictures = torch.rand(60, 1, *shape)
        seen = random_appearance(pictures, generator=torch.Generator().manual_seed(2), ranges=ranges)
        hidden = ((seen - pictures).abs() > 1e-3).flatten(1).any(1).float().mean()
        assert 0.15 < hidden < 0.45

    def test_same_seed_same_look(self, shape):
        pictures = torch.rand(3, 1, *shape)
        first, second = (
            random_appearance(pictures, generator=torch.Generator().manual_seed(4)) for _ in range(2)
        )
        assert torch.equal(first, second)
