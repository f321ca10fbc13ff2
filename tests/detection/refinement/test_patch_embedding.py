"""What a close-up learns from and how it answers: places inside of a window, to a fraction of a cell."""

from __future__ import annotations

import math

import pytest
import torch

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.embedding.feature_matching import describe
from napari_landmark.detection.refinement import patch_embedding as close_up_module
from napari_landmark.detection.refinement.patch_embedding import (
    PatchEmbedding,
    PatchEmbeddingConfig,
    _Steps,
    patch_similarity,
    train_patch_embedding,
)
from napari_landmark.detection.refinement.patches import crop_patches_around
from napari_landmark.learning.augmentation import Distortion, DistortionRange
from napari_landmark.learning.interpolation import canvas_coordinates, pixel_positions, sample
from napari_landmark.learning.loop import Budget

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
    def test_the_largest_window_that_fits(self, canvas, window):
        config = PatchEmbeddingConfig.for_canvas(canvas)
        assert config.spatial_dims == len(canvas)
        assert config.window == window
        assert config.window % 32 == 0

    def test_its_description_makes_the_same_architecture(self):
        config = PatchEmbeddingConfig(3, 64, 16, SMALL)
        assert PatchEmbeddingConfig(**config.to_json()) == config


@pytest.mark.parametrize("dims", [2, 3])
def test_maps_are_unit_vectors_at_both_strides(dims, cpu):
    close_up = network(dims)
    maps = close_up.embed(torch.rand(2, 1, *(32,) * dims), cpu)
    assert [m.shape for m in maps] == [(2, 16, *(32 // s,) * dims) for s in close_up.strides]
    for m in maps:
        torch.testing.assert_close(m.norm(dim=1), torch.ones(2, *m.shape[2:]))
    assert not close_up.training


class Planted:
    """Maps whose vectors tell the place: their cosine is a Gaussian of the distance."""

    def __init__(self, dims, window=48, width=6.0, channels=768):
        self.dims, self.window = dims, window
        self.frequencies = torch.randn(dims, channels, generator=torch.Generator().manual_seed(0)) / width

    def vectors(self, places):
        phase = places @ self.frequencies
        return torch.cat([phase.cos(), phase.sin()], -1) / math.sqrt(self.frequencies.shape[1])

    def maps(self, count, corner=0):
        """Of `count` windows alike; from `corner` pixels on."""
        found = []
        for stride in PatchEmbedding.strides:
            cells = pixel_positions(((self.window - 2 * corner) // stride,) * self.dims)
            vectors = self.vectors(canvas_coordinates(cells, stride) + corner)
            found.append(vectors.movedim(-1, 0).expand(count, *[-1] * (self.dims + 1)))
        return found


@pytest.mark.parametrize("dims", [2, 3])
class TestLikeness:
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
        shares = close_up_module.DOUBT * dims * 9 / (2 * 2.0**2)
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


class Ramps:
    """Images whose values tell the distance to a place of their own along one axis."""

    slope = 0.004

    def __init__(self, places, axis, canvas):
        self.places, self.axis, self.canvas = places, axis, canvas

    def __len__(self):
        return len(self.places)

    def working_part(self, number, box):
        ramp = torch.arange(self.canvas[self.axis]) - self.places[number, 0, self.axis]
        values = 0.5 + self.slope * ramp.view([-1 if k == self.axis else 1 for k in range(len(self.canvas))])
        return values.expand(self.canvas)[box].numpy()


@pytest.mark.parametrize("canvas", [(192, 160), (96, 112, 96)])
class TestPairs:
    """Which points are held against each other, seen in images where the value is the place."""

    def compared(self, canvas, axis, method, monkeypatch, cpu):
        generator = torch.Generator().manual_seed(3)
        middle = torch.tensor(canvas) / 2
        places = middle + 10 * torch.rand(3, 1, len(canvas), generator=generator)
        steps = _Steps(network(len(canvas)), Ramps(places, axis, canvas), places, cpu, generator, 2)
        seen = []
        monkeypatch.setattr(steps, "_compared", lambda *arguments: seen.append(arguments))
        # Every point is found exactly where it is expected.
        monkeypatch.setattr(
            close_up_module,
            "patch_similarity",
            lambda v, m, expected, prior: (expected, torch.ones(expected.shape[:2])),
        )
        getattr(steps, method)(24)
        view, points, changed, landed, *sure = seen[0]
        side = steps.network.config.window
        valid = ((landed > 2) & (landed < side - 3)).all(-1)
        values = sample(view, points)[:, 0], sample(changed, landed)[:, 0]
        return (values[0] - values[1])[valid] / Ramps.slope, valid, sure

    @pytest.mark.parametrize("method", ["_own", "_across"])
    def test_they_are_the_same_anatomy(self, canvas, method, monkeypatch, cpu):
        for axis in range(len(canvas)):
            off, valid, _ = self.compared(canvas, axis, method, monkeypatch, cpu)
            assert valid.float().mean() > 0.2  # by chance between 0.28 and 0.6
            # Corners of a window that is turned and enlarged may lie beyond what it was drawn from.
            assert off.abs().quantile(0.9) < 0.1

    def test_what_comes_back_to_itself_is_sure(self, canvas, monkeypatch, cpu):
        _, _, (sure,) = self.compared(canvas, 0, "_across", monkeypatch, cpu)
        assert sure.float().mean() > 0.9


class TestTraining:
    def places(self, cohort, phantoms):
        return torch.stack(
            [
                torch.from_numpy(cohort.canvas_transform(k).to_working(p.landmarks.positions())).float()
                for k, p in enumerate(phantoms)
            ]
        )

    def steps(self, cohort, places, cpu, *, seed=0, close_up=None):
        generator = torch.Generator().manual_seed(seed)
        return _Steps(close_up or network().train(), cohort, places, cpu, generator, 2)

    @pytest.mark.parametrize("part", ["_own", "_across"])
    def test_every_weight_learns(self, cohort, phantoms, cpu, monkeypatch, part):
        monkeypatch.setattr(close_up_module, "_RETURNED", 1e3)  # this network knows no way back yet
        close_up = network().train()
        loss = getattr(self.steps(cohort, self.places(cohort, phantoms), cpu, close_up=close_up), part)(2)
        loss.backward()
        assert loss.isfinite()
        assert close_up.training
        for name, weight in close_up.named_parameters():
            assert weight.grad.isfinite().all(), name
            assert weight.grad.abs().max() > 0, name

    def test_volumes(self, textured_cohort, cpu):
        cohort = textured_cohort([(0, 0, 0), (2, -3, 1)], (64, 64, 64))
        places = torch.from_numpy(cohort.truth).float()
        close_up = network(3).train()
        loss = self.steps(cohort, places, cpu, close_up=close_up).loss(0.99)
        loss.backward()
        assert loss.isfinite()
        assert all(weight.grad.isfinite().all() for weight in close_up.parameters())

    @pytest.mark.parametrize("fraction", [0.0, 0.99])
    def test_chance_comes_from_the_generator_alone(self, cohort, phantoms, cpu, fraction):
        def loss(seed):
            steps = self.steps(cohort, self.places(cohort, phantoms), cpu, seed=seed)
            torch.manual_seed(torch.randint(1000, ()).item())
            before = torch.get_rng_state()
            value = steps.loss(fraction).item()
            assert torch.equal(torch.get_rng_state(), before)
            return value

        first = loss(0)
        assert loss(0) == first
        assert loss(1) != first

    def test_other_subjects_come_in_later(self, cohort, phantoms, cpu, monkeypatch):
        steps, calls = self.steps(cohort, self.places(cohort, phantoms), cpu), []
        monkeypatch.setattr(steps, "_own", lambda count: calls.append(("own", count)) or 0)
        monkeypatch.setattr(steps, "_across", lambda count: calls.append(("across", count)) or 0)
        steps.loss(0.0)
        assert calls == [("own", 4)]
        calls.clear()
        steps.loss(1.0)
        assert calls == [("own", 2), ("across", 2)]
        calls.clear()
        monkeypatch.setattr(Cohort, "__len__", lambda _: 1)
        steps.loss(1.0)
        assert calls == [("own", 4)]

    def test_only_known_places_are_drawn(self, cohort, phantoms, cpu, monkeypatch):
        centres, honest = [], close_up_module.crop_patches
        monkeypatch.setattr(
            close_up_module,
            "crop_patches",
            lambda c, n, found, side: (centres.append(found), honest(c, n, found, side))[1],
        )
        places = self.places(cohort, phantoms)
        known = [(0, 2), (0, 5), (3, 5)]
        kept = torch.full_like(places, float("nan"))
        for image, landmark in known:
            kept[image, landmark] = places[image, landmark]
        steps = self.steps(cohort, kept, cpu)
        drawn = {pair for _ in range(20) for pair in zip(*(x.tolist() for x in steps._draw(8)), strict=True)}
        assert drawn == set(known)
        assert steps.loss(0.99).isfinite()
        assert steps._across(24).isfinite()
        assert torch.cat(centres).isfinite().all()

    def test_a_distorted_copy_is_matched_better_than_before(self, cohort, phantoms, cpu):
        places, close_up = self.places(cohort, phantoms), network()
        before = self.error(close_up, cohort, places, cpu)
        history = train_patch_embedding(
            close_up,
            cohort,
            places,
            device=cpu,
            generator=torch.Generator().manual_seed(0),
            budget=Budget(80),
        )
        assert history.steps == 80
        assert history.losses[2][2] < history.losses[0][2]  # before other subjects add theirs
        after = self.error(close_up, cohort, places, cpu)
        assert after < 0.6 * before
        assert after < 3.5

    @staticmethod
    def error(close_up, cohort, places, cpu):
        """Mean distance in pixels between where landmarks are in distorted windows and where they are found."""
        off = []
        for number in range(len(cohort)):
            pixels, origins = crop_patches_around(cohort.working(number), places[number].numpy(), 32)
            inside = (places[number] - origins)[:, None]
            distortion = Distortion.random(
                len(pixels),
                (32, 32),
                ranges=DistortionRange(rotation=15, scale=1.15, aspect=1.1, shift=0.1, elastic=0.02),
                generator=torch.Generator().manual_seed(number),
            )
            truth = distortion.output_of(inside)
            maps = close_up.embed(pixels, cpu)
            copies = close_up.embed(distortion.apply(pixels), cpu)
            found, _ = patch_similarity(describe(maps, close_up.strides, inside), copies, inside, 1e3)
            off.append((found - truth).norm(dim=-1))
        return torch.cat(off).nanmean().item()
