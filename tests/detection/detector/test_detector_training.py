"""Loss, batches and training of a detector."""

from __future__ import annotations

import collections
import itertools
import math

import pytest
import torch

from napari_landmark.detection.detector.detector import DetectorConfig, DetectorNetwork
from napari_landmark.detection.detector.detector_training import (
    LabelledImageSampler,
    batch_loss,
    detector_batches,
    detector_loss,
    train_detector,
)
from napari_landmark.detection.detector.pseudo_labels import PseudoLabels
from napari_landmark.learning.loop import Budget

SMALL = (4, 4, 8, 8, 8)


def network(landmarks=3, dims=2, **options):
    torch.manual_seed(0)
    return DetectorNetwork(DetectorConfig(landmarks, dims, channels=SMALL, **options))


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


def labels_of(cohort, *, weights=None, annotated=(0,), count=3):
    dims = len(cohort.canvas)
    positions = torch.rand(len(cohort), count, dims, generator=torch.Generator().manual_seed(0))
    positions = (0.2 + 0.6 * positions) * torch.tensor(cohort.canvas)
    weights = torch.ones(len(cohort), count) if weights is None else weights
    return PseudoLabels(positions.numpy(), weights.numpy(), 1.0, annotated=annotated)


def step_loss(detector, cohort, labels, cpu, seed=0):
    generator = torch.Generator().manual_seed(seed)
    batch = next(detector_batches(cohort, labels, 1, cpu, generator, batch_size=2))
    return batch_loss(detector, batch, cpu)


def drawn(labels, count):
    return itertools.islice(LabelledImageSampler(labels, 3, torch.Generator().manual_seed(0)), count)


class TestTraining:
    def step(self, cohort, cpu, *, seed=0, detector=None, **options):
        detector = detector or network().train()
        labels = labels_of(cohort, **options)
        return step_loss(detector, cohort, labels, cpu, seed)

    def test_every_weight_learns(self, cohort, cpu):
        detector = network().train()
        loss = self.step(cohort, cpu, detector=detector)
        loss.backward()
        assert loss.isfinite()
        assert all(weight.grad.isfinite().all() for weight in detector.parameters())
        assert detector.head.weight.grad.abs().max() > 0

    def test_chance_comes_from_the_generator_alone(self, cohort, cpu):
        assert self.step(cohort, cpu).item() == self.step(cohort, cpu).item()
        assert self.step(cohort, cpu).item() != self.step(cohort, cpu, seed=1).item()

    def test_labels_without_weight_teach_nothing(self, cohort, cpu):
        detector = network().train()
        loss = self.step(cohort, cpu, detector=detector, weights=torch.zeros(len(cohort), 3))
        loss.backward()
        assert loss.item() == 0
        assert all((weight.grad == 0).all() for weight in detector.parameters())

    def test_the_template_is_shown_more_often(self, perfect_cohort):
        cohort = perfect_cohort(count=20)
        labels = labels_of(cohort, annotated=(7,))
        shown = collections.Counter(i for batch in drawn(labels, 600) for i in batch)
        others = [shown[i] for i in range(20) if i != 7]
        assert shown[7] > 1.5 * max(others)
        assert min(others) > 0

    def test_images_without_labels_are_not_shown(self, perfect_cohort):
        weights = torch.zeros(20, 3)
        weights[[2, 5], 1] = 0.3
        labels = labels_of(perfect_cohort(count=20), weights=weights, annotated=(7,))
        shown = collections.Counter(i for batch in drawn(labels, 300) for i in batch)
        assert shown.keys() == {2, 5, 7}

    def test_unknown_positions_teach_nothing(self, cohort, cpu):
        labels = labels_of(cohort)
        labels.positions[:, 1], labels.weights[:, 1] = float("nan"), 0
        detector = network().train()
        loss = step_loss(detector, cohort, labels, cpu)
        loss.backward()
        assert loss.item() > 0
        gradients = [weight.grad for weight in detector.parameters()]
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert (detector.head.weight.grad[1] == 0).all()
        assert detector.head.weight.grad[0].abs().max() > 0

    def test_retraining_is_gentler(self, cohort, cpu):
        moved = []
        for retrain in (False, True):
            detector = network()
            before = detector.head.weight.detach().clone()
            history = train_detector(
                detector,
                cohort,
                labels_of(cohort),
                device=cpu,
                generator=torch.Generator().manual_seed(0),
                budget=Budget(3),
                retrain=retrain,
            )
            moved.append((detector.head.weight - before).abs().mean().item())
            assert history.stage.startswith("retraining") == retrain
        assert 0 < moved[1] < 0.8 * moved[0]

    def test_without_templates(self, cohort, cpu):
        assert self.step(cohort, cpu, annotated=()).isfinite()

    def test_the_loss_falls(self, cohort, cpu):
        history = train_detector(
            network(),
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
