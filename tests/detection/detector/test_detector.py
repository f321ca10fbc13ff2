"""Voting, the loss, and what is drawn for a step of training."""

from __future__ import annotations

import collections
import math

import pytest
import torch

from napari_landmark.detection.detector import detector as detector_module
from napari_landmark.detection.detector.detector import (
    DetectorConfig,
    DetectorNetwork,
    TrainingLabels,
    detector_loss,
    train_detector,
    training_step,
)
from napari_landmark.learning.interpolation import canvas_coordinates
from napari_landmark.learning.loop import Budget

SMALL = (4, 4, 8, 8, 8)


class Constructed(DetectorNetwork):
    """Says of every cell what it is told to."""

    def tell(self, targets, shape, *, sharpness=0.5, offset_error=0.0):
        """Logits that peak at the targets (n, d), in input pixels, and offsets to them."""
        difference = targets[:, None] - self.cell_positions(shape, torch.device("cpu"))
        self.logits = -sharpness * difference.square().sum(-1)[None] / self.pyramid.finest_stride**2
        self.offsets = (difference / self.config.radius)[None] + offset_error
        return self

    def forward(self, images):
        return self.logits, self.offsets


def network(landmarks=3, dims=2, kind=Constructed, **options):
    torch.manual_seed(0)
    return kind(DetectorConfig(landmarks, dims, channels=SMALL, **options))


@pytest.mark.parametrize("shape", [(64, 96), (32, 40, 48)])
class TestVote:
    targets = torch.tensor([[10.3, 20.7, 11.2], [25.5, 15.25, 30.9], [16.0, 31.9, 8.4]])

    def told(self, shape, **options):
        return network(dims=len(shape)).tell(self.targets[:, : len(shape)], shape, **options)

    def test_the_position_is_exact_between_pixels(self, shape, cpu):
        votes = self.told(shape).vote(torch.zeros(1, 1, *shape), cpu)
        torch.testing.assert_close(votes.positions[0], self.targets[:, : len(shape)], atol=0.02, rtol=0)

    def test_on_the_canvas_where_the_input_is_shrunk(self, shape, cpu):
        detector = network(dims=len(shape), downsampling=2).tell(self.targets[:, : len(shape)], shape)
        votes = detector.vote(torch.zeros(1, 1, *shape), cpu)
        expected = canvas_coordinates(self.targets[:, : len(shape)], 2)
        torch.testing.assert_close(votes.positions[0], expected, atol=0.04, rtol=0)

    def test_a_heatmap_is_a_distribution(self, shape, cpu):
        heat = self.told(shape).vote(torch.zeros(1, 1, *shape), cpu).heatmaps
        assert heat.shape == (1, 3, *(n // 4 for n in shape))
        torch.testing.assert_close(heat.flatten(2).sum(-1), torch.ones(1, 3))

    def test_a_sharper_map_is_surer(self, shape, cpu):
        images = torch.zeros(1, 1, *shape)
        sharp, blunt = (self.told(shape, sharpness=s).vote(images, cpu) for s in (1.0, 0.01))
        assert (sharp.confidence > blunt.confidence).all()
        assert (sharp.spread < blunt.spread).all()
        radius = network(dims=len(shape)).config.radius
        assert ((blunt.spread > 0) & (blunt.spread <= 2.5 * radius)).all()
        assert ((sharp.confidence >= 0) & (sharp.confidence <= 1 + 1e-5)).all()


class TestLoss:
    config = DetectorConfig(2, channels=SMALL, radius=12.0, sigma=4.0)

    def parts(self, targets=((20.3, 30.6), (40.2, 12.9)), shape=(64, 64)):
        detector = network(2, radius=12.0, sigma=4.0)
        targets = torch.tensor(targets)
        difference = (targets[:, None] - detector.cell_positions(shape, torch.device("cpu")))[None]
        logits = -difference.square().sum(-1) / (2 * self.config.sigma**2)
        return logits, difference / self.config.radius, difference

    def loss(self, logits, offsets, difference, weights=((1.0, 1.0),)):
        return detector_loss(logits, offsets, difference, torch.tensor(weights), self.config)

    def test_nothing_is_better_than_the_truth(self):
        logits, offsets, difference = self.parts()
        best = self.loss(logits, offsets, difference)
        assert self.loss(logits.roll(5, -1), offsets, difference) > best + 0.5
        assert self.loss(logits, offsets + 0.1, difference) > best
        assert self.loss(torch.zeros_like(logits), offsets, difference) > best

    def test_at_the_truth_there_is_nothing_to_learn(self):
        logits, offsets, difference = self.parts()
        logits.requires_grad_()
        self.loss(logits, offsets, difference).backward()
        assert logits.grad.abs().max() < 1e-6

    def test_offsets_far_from_the_landmark_do_not_count(self):
        logits, offsets, difference = self.parts()
        far = difference.norm(dim=-1, keepdim=True) > self.config.radius
        spoilt = torch.where(far, offsets + 50, offsets)
        assert self.loss(logits, spoilt, difference).item() == pytest.approx(
            self.loss(logits, offsets, difference).item()
        )

    def test_a_weight_of_zero_takes_a_landmark_out(self):
        logits, offsets, difference = self.parts()
        logits = logits.roll(7, -1).requires_grad_()
        offsets = (offsets + 0.2).requires_grad_()
        both = self.loss(logits, offsets, difference, ((1.0, 0.0),))
        both.backward()
        assert (logits.grad[:, 1] == 0).all()
        assert (offsets.grad[:, 1] == 0).all()
        assert logits.grad[:, 0].abs().max() > 0
        alone = detector_loss(logits[:, :1], offsets[:, :1], difference[:, :1], torch.ones(1, 1), self.config)
        assert both.item() == pytest.approx(alone.item(), rel=1e-5)

    def test_without_any_weight_nothing_is_learned(self):
        logits, offsets, difference = self.parts()
        logits, offsets = logits.roll(7, -1).requires_grad_(), offsets.requires_grad_()
        loss = self.loss(logits, offsets, difference, ((0.0, 0.0),))
        loss.backward()
        assert loss.item() == 0
        assert (logits.grad == 0).all()
        assert (offsets.grad == 0).all()

    def test_half_the_weight_is_half_the_say(self):
        logits, offsets, difference = self.parts()
        spoilt = logits.clone()
        spoilt[:, 1] = 0
        good, bad = (
            self.loss(values, offsets, difference, ((1.0, weight),)).item()
            for values, weight in ((logits, 1.0), (spoilt, 1.0))
        )
        half = self.loss(spoilt, offsets, difference, ((1.0, 0.5),)).item()
        assert good < half < bad


def labels_of(cohort, *, weights=None, templates=(0,), count=3):
    dims = len(cohort.canvas)
    positions = torch.rand(len(cohort), count, dims, generator=torch.Generator().manual_seed(0))
    positions = (0.2 + 0.6 * positions) * torch.tensor(cohort.canvas)
    weights = torch.ones(len(cohort), count) if weights is None else weights
    return TrainingLabels(positions, weights, templates)


class TestTraining:
    def step(self, cohort, cpu, *, seed=0, detector=None, **options):
        detector = detector or network(kind=DetectorNetwork).train()
        labels = labels_of(cohort, **options)
        generator = torch.Generator().manual_seed(seed)
        return training_step(detector, cohort, labels, cpu, generator, batch=2)

    def test_every_weight_learns(self, cohort, cpu):
        detector = network(kind=DetectorNetwork).train()
        loss = self.step(cohort, cpu, detector=detector)
        loss.backward()
        assert loss.isfinite()
        assert all(weight.grad.isfinite().all() for weight in detector.parameters())
        assert detector.head.weight.grad.abs().max() > 0

    def test_chance_comes_from_the_generator_alone(self, cohort, cpu):
        assert self.step(cohort, cpu).item() == self.step(cohort, cpu).item()
        assert self.step(cohort, cpu).item() != self.step(cohort, cpu, seed=1).item()

    def test_untrusted_labels_teach_nothing(self, cohort, cpu):
        detector = network(kind=DetectorNetwork).train()
        loss = self.step(cohort, cpu, detector=detector, weights=torch.zeros(len(cohort), 3))
        loss.backward()
        assert loss.item() == 0
        assert all((weight.grad == 0).all() for weight in detector.parameters())

    def test_the_template_is_shown_more_often(self, perfect_cohort):
        cohort = perfect_cohort(count=20)
        labels, generator = labels_of(cohort, templates=(7,)), torch.Generator().manual_seed(0)
        shown = collections.Counter(
            i for _ in range(600) for i in detector_module._draw(labels, 3, generator)
        )
        others = [shown[i] for i in range(20) if i != 7]
        assert shown[7] > 1.5 * max(others)
        assert min(others) > 0

    def test_images_without_labels_are_not_shown(self, perfect_cohort):
        weights = torch.zeros(20, 3)
        weights[[2, 5], 1] = 0.3
        labels, generator = (
            labels_of(perfect_cohort(count=20), weights=weights, templates=(7,)),
            torch.Generator().manual_seed(0),
        )
        shown = collections.Counter(
            i for _ in range(300) for i in detector_module._draw(labels, 3, generator)
        )
        assert shown.keys() == {2, 5, 7}

    def test_places_that_are_unknown_teach_nothing(self, cohort, cpu):
        labels = labels_of(cohort)
        labels.positions[:, 1], labels.weights[:, 1] = float("nan"), 0
        detector = network(kind=DetectorNetwork).train()
        generator = torch.Generator().manual_seed(0)
        loss = training_step(detector, cohort, labels, cpu, generator, batch=2)
        loss.backward()
        assert loss.item() > 0
        gradients = [weight.grad for weight in detector.parameters()]
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert (detector.head.weight.grad[1] == 0).all()
        assert detector.head.weight.grad[0].abs().max() > 0

    def test_teaching_again_is_gentler(self, cohort, cpu):
        moved = []
        for again in (False, True):
            detector = network(kind=DetectorNetwork)
            before = detector.head.weight.detach().clone()
            history = train_detector(
                detector,
                cohort,
                labels_of(cohort),
                device=cpu,
                generator=torch.Generator().manual_seed(0),
                budget=Budget(3),
                again=again,
            )
            moved.append((detector.head.weight - before).abs().mean().item())
            assert history.stage.endswith("again") == again
        assert 0 < moved[1] < 0.8 * moved[0]

    def test_without_templates(self, cohort, cpu):
        assert self.step(cohort, cpu, templates=()).isfinite()

    def test_the_loss_falls(self, cohort, cpu):
        history = train_detector(
            network(kind=DetectorNetwork),
            cohort,
            labels_of(cohort),
            device=cpu,
            generator=torch.Generator().manual_seed(0),
            budget=Budget(30),
        )
        assert history.steps == 30
        assert history.losses[-1][2] < history.losses[0][2]
        # No better at first than a guess over all cells.
        assert history.losses[0][2] > 0.7 * math.log(16 * 16)


def test_its_description_makes_the_same_architecture():
    config = DetectorConfig(5, 3, 2, SMALL, 8, 10.0, 3.0)
    assert DetectorConfig(**config.to_json()) == config
