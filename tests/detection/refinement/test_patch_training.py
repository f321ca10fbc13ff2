"""Batches and training of a patch embedding: points of patches that show the same anatomy."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from napari_landmark.detection.embedding.feature_matching import describe
from napari_landmark.detection.refinement import patch_training
from napari_landmark.detection.refinement.patch_embedding import (
    PatchEmbedding,
    PatchEmbeddingConfig,
    patch_similarity,
)
from napari_landmark.detection.refinement.patch_training import (
    PatchBatches,
    patch_loss,
    target_points,
    train_patch_embedding,
)
from napari_landmark.detection.refinement.patches import crop_patches_around
from napari_landmark.learning.augmentation import Distortion, DistortionRange
from napari_landmark.learning.interpolation import sample
from napari_landmark.learning.loop import Budget, TrainingClock

SMALL = (8, 8, 8, 16, 16)


def network(dims=2, window=32, size=16):
    torch.manual_seed(0)
    return PatchEmbedding(PatchEmbeddingConfig(dims, window, size, SMALL))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pairs_of(source, kind, count):
    return {"self": source.self_pairs, "cross": source.cross_pairs}[kind](count)


class Ramps:
    """Images whose values grow with the distance to a position of their own along one axis."""

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
    """Points of first and target patch, in images whose values depend on the position alone."""

    def compared(self, canvas, axis, kind, monkeypatch, cpu):
        """Distances in pixels between compared points, which are valid, and whether matching calls them mutual."""
        middle = torch.tensor(canvas) / 2
        positions = middle + 10 * torch.rand(3, 1, len(canvas), generator=seeded(3))
        embedding = network(len(canvas))
        # Every point is matched exactly at the expected position; the images are seen as they are.
        monkeypatch.setattr(
            patch_training,
            "patch_similarity",
            lambda v, m, expected, prior: (expected, torch.ones(expected.shape[:2])),
        )
        images = Ramps(positions, axis, canvas)
        source = PatchBatches(embedding.config, images, positions, cpu, seeded(3))
        pairs = pairs_of(source, kind, 24)
        targets, valid = target_points(embedding, pairs, cpu)
        values = sample(pairs.first.patches, pairs.points)[:, 0], sample(pairs.target.patches, targets)[:, 0]
        return (values[0] - values[1])[valid] / Ramps.slope, valid

    @pytest.mark.parametrize("kind", ["self", "cross"])
    def test_they_are_the_same_anatomy(self, canvas, kind, monkeypatch, cpu):
        for axis in range(len(canvas)):
            off, valid = self.compared(canvas, axis, kind, monkeypatch, cpu)
            assert valid.float().mean() > 0.2  # by chance between 0.28 and 0.6
            # Corners of a rotated and enlarged patch may be outside of the pixels it was drawn from.
            assert off.abs().quantile(0.9) < 0.1


class TestLoss:
    @pytest.fixture
    def positions(self, cohort, phantoms):
        return torch.stack(
            [
                torch.from_numpy(cohort.canvas_transform(k).to_working(p.landmarks.positions())).float()
                for k, p in enumerate(phantoms)
            ]
        )

    @pytest.mark.parametrize("kind", ["self", "cross"])
    def test_every_weight_learns(self, cohort, positions, cpu, monkeypatch, kind):
        monkeypatch.setattr(patch_training, "_RETURNED", 1e3)  # matches of an untrained network do not return
        embedding = network().train()
        source = PatchBatches(embedding.config, cohort, positions, cpu, seeded())
        loss = patch_loss(embedding, pairs_of(source, kind, 2), cpu)
        loss.backward()
        assert loss.isfinite()
        assert embedding.training
        for name, weight in embedding.named_parameters():
            assert weight.grad.isfinite().all(), name
            assert weight.grad.abs().max() > 0, name

    @pytest.mark.parametrize("kind", ["self", "cross"])
    def test_volumes(self, textured_cohort, cpu, kind):
        cohort = textured_cohort([(0, 0, 0), (2, -3, 1)], (64, 64, 64))
        embedding = network(3).train()
        source = PatchBatches(embedding.config, cohort, torch.from_numpy(cohort.truth).float(), cpu, seeded())
        loss = patch_loss(embedding, pairs_of(source, kind, 2), cpu)
        loss.backward()
        assert loss.isfinite()
        assert all(weight.grad.isfinite().all() for weight in embedding.parameters())

    @pytest.mark.parametrize("kind", ["self", "cross"])
    def test_chance_comes_from_the_generator_alone(self, cohort, positions, cpu, kind):
        def loss(seed):
            embedding = network().train()
            source = PatchBatches(embedding.config, cohort, positions, cpu, seeded(seed))
            torch.manual_seed(torch.randint(1000, ()).item())
            before = torch.get_rng_state()
            value = patch_loss(embedding, pairs_of(source, kind, 2), cpu).item()
            assert torch.equal(torch.get_rng_state(), before)
            return value

        first = loss(0)
        assert loss(0) == first
        assert loss(1) != first

    def test_wrong_matches_are_not_valid(self, cohort, positions, cpu):
        embedding = network()
        source = PatchBatches(embedding.config, cohort, positions, cpu, seeded())
        _, valid_self = target_points(embedding, source.self_pairs(16), cpu)
        _, valid_cross = target_points(embedding, source.cross_pairs(16), cpu)
        assert (
            valid_cross.float().mean() < valid_self.float().mean()
        )  # few matches of an untrained network return


class TestBatches:
    def kinds(self, cohort, cpu, fraction):
        clock = TrainingClock()
        clock.fraction = fraction
        positions = torch.rand(len(cohort), 3, 2, generator=seeded()) * 40 + 10
        source = PatchBatches(network().config, cohort, positions, cpu, seeded())
        batch = next(source.batches(2, clock))
        return [("self" if pairs.other is None else "cross", len(pairs.points)) for pairs in batch]

    def test_other_subjects_are_matched_in_the_later_part(self, cohort, cpu):
        assert self.kinds(cohort, cpu, 0.0) == [("self", 4)]
        assert self.kinds(cohort, cpu, 0.99) == [("self", 2), ("cross", 2)]

    def test_a_single_image_has_no_other_subject(self, textured_cohort, cpu):
        assert self.kinds(textured_cohort([(0, 0)]), cpu, 0.99) == [("self", 4)]

    def test_only_known_positions_are_drawn(self, textured_cohort, cpu, monkeypatch):
        cohort = textured_cohort([(0, 0), (2, 1), (1, 3), (-2, 0)])
        drawn, honest = [], patch_training.crop_patches
        monkeypatch.setattr(
            patch_training,
            "crop_patches",
            lambda images, numbers, centres, side: (
                drawn.append((numbers, centres)),
                honest(images, numbers, centres, side),
            )[1],
        )
        monkeypatch.setattr(patch_training, "draw_view", partial(patch_training.draw_view, jitter=0.0))
        truth = torch.from_numpy(cohort.truth).float()
        known = [(0, 2), (0, 3), (3, 3)]
        positions = torch.full_like(truth, float("nan"))
        for image, landmark in known:
            positions[image, landmark] = truth[image, landmark]
        source = PatchBatches(network().config, cohort, positions, cpu, seeded())
        for _ in range(4):
            source.self_pairs(8)
            source.cross_pairs(8)
        centres = {
            (number, landmark)
            for numbers, places in drawn
            for number, place in zip(numbers, places, strict=True)
            for landmark in range(truth.shape[1])
            if torch.equal(place, truth[number, landmark])
        }
        assert centres == set(known)
        assert all(places.isfinite().all() for _, places in drawn)


class TestTraining:
    @pytest.fixture
    def places(self, cohort, phantoms):
        return torch.stack(
            [
                torch.from_numpy(cohort.canvas_transform(k).to_working(p.landmarks.positions())).float()
                for k, p in enumerate(phantoms)
            ]
        )

    def test_a_distorted_copy_is_matched_better_than_before(self, cohort, places, cpu):
        embedding = network()
        before = self.error(embedding, cohort, places, cpu)
        history = train_patch_embedding(
            embedding,
            cohort,
            places,
            device=cpu,
            generator=torch.Generator().manual_seed(0),
            budget=Budget(80),
        )
        assert history.steps == 80
        assert history.losses[2][2] < history.losses[0][2]  # before other subjects add theirs
        after = self.error(embedding, cohort, places, cpu)
        assert after < 0.6 * before
        assert after < 3.5

    @staticmethod
    def error(embedding, cohort, places, cpu):
        """Mean distance in pixels between landmarks of distorted patches and their matches."""
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
            maps = embedding.embed(pixels, cpu)
            copies = embedding.embed(distortion.apply(pixels), cpu)
            found, _ = patch_similarity(describe(maps, embedding.strides, inside), copies, inside, 1e3)
            off.append((found - truth).norm(dim=-1))
        return torch.cat(off).nanmean().item()
