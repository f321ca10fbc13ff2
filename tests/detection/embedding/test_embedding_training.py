"""Batches and losses of an embedding, and its two stages of training."""

from __future__ import annotations

import itertools

import pytest
import torch

from napari_landmark.detection.embedding import embedding_training
from napari_landmark.detection.embedding.embedding import Embedding, EmbeddingConfig
from napari_landmark.detection.embedding.embedding_training import (
    EmbeddingBatches,
    cross_loss,
    self_loss,
    train_embedding,
)
from napari_landmark.learning.interpolation import sample
from napari_landmark.learning.loop import Budget
from napari_landmark.progress import CancelToken

SMALL = (8, 8, 8, 16, 16)


def small():
    torch.manual_seed(0)
    return Embedding(EmbeddingConfig(2, 1, size=8, channels=SMALL))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def self_step(embedding, cohort, device, generator, pairs=2):
    batch = next(EmbeddingBatches(cohort, 1, device, generator).self_batches(pairs))
    return self_loss(embedding, batch, device)


def cross_step(embedding, cohort, device, generator, pairs=2):
    batch = next(EmbeddingBatches(cohort, 1, device, generator).cross_batches(pairs))
    return cross_loss(embedding, batch, device)


@pytest.mark.parametrize("step", [self_step, cross_step])
class TestStep:
    def test_every_weight_learns(self, step, cohort, cpu):
        embedding = small().train()
        loss = step(embedding, cohort, cpu, seeded())
        loss.backward()
        assert loss.isfinite()
        assert all(
            weight.grad is not None and weight.grad.isfinite().all() for weight in embedding.parameters()
        )
        assert any(weight.grad.abs().max() > 0 for weight in embedding.parameters())
        assert embedding.training

    def test_chance_comes_from_the_generator_alone(self, step, cohort, cpu):
        losses = []
        for seed in (0, 0, 1):
            torch.manual_seed(99 + len(losses))
            model = small()
            torch.manual_seed(7 * len(losses))
            losses.append(step(model.train(), cohort, cpu, seeded(seed)).item())
        assert losses[0] == losses[1] != losses[2]

    def test_blank_images_do_no_harm(self, step, cpu):
        class Blank:
            def __len__(self):
                return 3

            def working(self, number):
                return torch.full((64, 64), number / 2).numpy()

        embedding = small().train()
        loss = step(embedding, Blank(), cpu, seeded())
        loss.backward()
        assert loss.isfinite()
        assert all(weight.grad.isfinite().all() for weight in embedding.parameters())


class TestBatches:
    def test_points_of_image_and_copy_show_the_same_anatomy(self, cpu, monkeypatch):
        ramp = (torch.arange(64)[:, None] + torch.zeros(64)) / 64

        class Ramp:
            def __len__(self):
                return 3

            def working(self, number):
                return ramp.numpy()

        monkeypatch.setattr(embedding_training, "random_appearance", lambda views, generator: views)
        batch = next(EmbeddingBatches(Ramp(), 1, cpu, seeded()).self_batches(4))
        images, copies = batch.views[:4], batch.views[4:]
        values = sample(images, batch.image_points), sample(copies, batch.copy_points)
        off = (values[0] - values[1])[:, 0][batch.valid]
        assert len(off) > 100
        assert off.abs().quantile(0.95) < 0.5 / 64  # half a pixel

    def test_a_loss_draws_nothing(self, cohort, cpu):
        embedding, generator = small().train(), seeded()
        batches = EmbeddingBatches(cohort, 1, cpu, generator)
        for batch, loss in (
            (next(batches.self_batches(2)), self_loss),
            (next(batches.cross_batches(2)), cross_loss),
        ):
            states = torch.get_rng_state(), generator.get_state()
            loss(embedding, batch, cpu)
            assert torch.equal(torch.get_rng_state(), states[0])
            assert torch.equal(generator.get_state(), states[1])


class TestTraining:
    def run(self, cohort, cpu, **options):
        return train_embedding(
            small(),
            cohort,
            device=cpu,
            generator=seeded(),
            self_budget=Budget(2),
            cross_budget=Budget(1),
            **options,
        )

    def test_both_stages(self, cohort, cpu):
        events = []
        histories = self.run(cohort, cpu, progress=events.append)
        assert [history.steps for history in histories] == [2, 1]
        stages = [stage for stage, _ in itertools.groupby(event.stage for event in events)]
        assert stages == [history.stage for history in histories]

    def test_a_single_image_is_not_trained_across_subjects(self, perfect_cohort, cpu):
        alone = perfect_cohort(count=1, canvas=(64, 64))
        assert [history.steps for history in self.run(alone, cpu)] == [2]

    def test_a_cancelled_first_stage_is_the_last(self, cohort, cpu):
        token = CancelToken()
        (history,) = self.run(cohort, cpu, cancel=token, after_step=lambda _: token.cancel())
        assert history.cancelled
        assert history.steps == 1
