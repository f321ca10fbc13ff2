"""The embedding's maps, the points it is taught with, and its two stages of training."""

from __future__ import annotations

import itertools

import pytest
import torch

from napari_landmark.detection.embedding import embedding as embedding_module
from napari_landmark.detection.embedding.embedding import (
    Embedding,
    EmbeddingConfig,
    cross_step,
    detail,
    informative,
    informative_points,
    inside,
    random_indices,
    random_points,
    train_embedding,
    training_step,
)
from napari_landmark.learning.loop import Budget
from napari_landmark.progress import CancelToken

SMALL = (8, 8, 8, 16, 16)


def small(dims=2, **options):
    torch.manual_seed(0)
    return Embedding(EmbeddingConfig(dims, 1, size=8, channels=SMALL, **options))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class TestMaps:
    @pytest.mark.parametrize("shape", [(64, 96), (32, 64, 32)])
    def test_unit_vectors_on_every_level(self, shape, cpu):
        embedding = small(len(shape))
        maps = embedding.embed(torch.rand(2, 1, *shape), cpu)
        assert not embedding.training
        for found, stride in zip(maps, embedding.strides, strict=True):
            assert found.shape == (2, 8, *(n // stride for n in shape))
            assert found.dtype == torch.float32
            torch.testing.assert_close(found.norm(dim=1), torch.ones(found[:, 0].shape))

    def test_strides_on_the_canvas(self):
        embedding = Embedding(EmbeddingConfig(downsampling=2, channels=SMALL))
        assert embedding.canvas_strides == tuple(2 * s for s in embedding.strides)

    def test_its_description_makes_the_same_architecture(self):
        config = EmbeddingConfig(3, 1, 16, SMALL, 8)
        assert EmbeddingConfig(**config.to_json()) == config


class TestPoints:
    def test_indices_are_drawn_without_repetition(self):
        for draws in (1, 3, 7):
            drawn = random_indices(7, draws, seeded())
            assert len(set(drawn)) == draws
            assert set(drawn) <= set(range(7))
        assert sorted(random_indices(2, 6, seeded())) == [0, 0, 0, 1, 1, 1]
        many = random_indices(10**6, 50, seeded())
        assert len(many) == 50
        assert all(0 <= i < 10**6 for i in many)

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
    def test_points_are_drawn_where_there_is_something_to_see(self, shape):
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


@pytest.mark.parametrize("step", [training_step, cross_step])
class TestStep:
    def test_every_weight_learns(self, step, cohort, cpu):
        embedding = small().train()
        loss = step(embedding, cohort, device=cpu, generator=seeded(), pairs=2)
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
            losses.append(step(model.train(), cohort, device=cpu, generator=seeded(seed), pairs=2).item())
        assert losses[0] == losses[1] != losses[2]

    def test_blank_images_do_no_harm(self, step, cpu):
        class Blank:
            def __len__(self):
                return 3

            def working(self, number):
                return torch.full((64, 64), number / 2).numpy()

        embedding = small().train()
        loss = step(embedding, Blank(), device=cpu, generator=seeded(), pairs=2)
        loss.backward()
        assert loss.isfinite()
        assert all(weight.grad.isfinite().all() for weight in embedding.parameters())


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

    def test_one_image_has_nobody_to_compare_with(self, perfect_cohort, cpu):
        alone = perfect_cohort(count=1, canvas=(64, 64))
        assert [history.steps for history in self.run(alone, cpu)] == [2]

    def test_a_cancelled_first_stage_is_the_last(self, cohort, cpu, monkeypatch):
        token = CancelToken()
        honest = embedding_module.training_step

        def step(*arguments, **options):
            token.cancel()
            return honest(*arguments, **options)

        monkeypatch.setattr(embedding_module, "training_step", step)
        (history,) = self.run(cohort, cpu, cancel=token)
        assert history.cancelled
        assert history.steps == 1
