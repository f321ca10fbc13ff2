"""Training of a patch detector: what is drawn, and that it learns a structure."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from napari_landmark.detection.detector.detector import DetectorConfig, DetectorNetwork
from napari_landmark.detection.detector.patch_detector import PatchDetector, detect_in_patches
from napari_landmark.detection.detector.patch_detector_training import (
    patch_batch_loss,
    patch_detector_batches,
    train_patch_detector,
)
from napari_landmark.detection.detector.pseudo_labels import PseudoLabels
from napari_landmark.learning.interpolation import sample
from napari_landmark.learning.loop import Budget

CANVAS = (128, 96)
LANDMARKS = 2
COUNT = 6


class Spots:
    """Images with a bright and a dark spot, the landmarks, on grey texture."""

    canvas = CANVAS

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.positions = rng.uniform(34, 60, (COUNT, LANDMARKS, 2))
        self.positions[:, 1] += (20, 0)
        rows, columns = np.mgrid[: CANVAS[0], : CANVAS[1]]
        self.images = []
        for spots in self.positions:
            image = 0.45 + 0.05 * rng.random(CANVAS)
            for (y, x), height in zip(spots, (0.5, -0.4), strict=True):
                image += height * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 2.5**2))
            self.images.append(image.clip(0, 1).astype(np.float32))

    def __len__(self):
        return COUNT

    def working(self, number):
        return self.images[number]

    def working_part(self, number, box):
        return self.images[number][box]


def labels_of(spots, annotated=(0,), weights=None):
    weights = np.ones((COUNT, LANDMARKS)) if weights is None else weights
    return PseudoLabels(spots.positions, weights, 1.0, annotated=annotated)


def batches(spots, labels, cpu, count=40, **options):
    generator = torch.Generator().manual_seed(0)
    drawn = patch_detector_batches(
        spots, labels, side=64, device=cpu, generator=generator, **{"batch_size": 16, **options}
    )
    return list(itertools.islice(drawn, count))


class TestBatches:
    def test_the_target_is_where_the_structure_is(self, cpu):
        spots = Spots()
        bright, dark = [], []
        for batch in batches(spots, labels_of(spots), cpu):
            inside = batch.weights > 0
            at = sample(batch.patches, batch.targets[:, None])[:, 0, 0]
            middle = batch.patches.flatten(1).median(1).values
            bright += (at - middle)[inside & (batch.landmarks == 0)].tolist()
            dark += (at - middle)[inside & (batch.landmarks == 1)].tolist()
        assert np.median(bright) > 0.25  # noise and occlusion spoil a few
        assert np.median(dark) < -0.2

    @pytest.mark.parametrize(("annotated", "share"), [((0,), 1 / 6), ((0, 1, 2, 3, 4), 1 / 2)])
    def test_annotated_images_have_their_share(self, cpu, annotated, share):
        spots = Spots()
        weights = np.zeros((COUNT, LANDMARKS))
        weights[list(annotated), 0] = 1  # annotations of landmark 0 alone, pseudo-labels of landmark 1 alone
        weights[5, 1] = 1
        drawn = torch.cat(
            [batch.landmarks for batch in batches(spots, labels_of(spots, annotated, weights), cpu, count=60)]
        )
        assert (drawn == 0).float().mean() == pytest.approx(share, abs=0.06)

    def test_what_has_no_weight_or_position_is_never_drawn(self, cpu):
        spots = Spots()
        weights = np.ones((COUNT, LANDMARKS))
        weights[:, 1] = 0
        spots.positions[3] = np.nan
        for batch in batches(spots, labels_of(spots, weights=weights), cpu, count=20):
            assert (batch.landmarks == 0).all()
            assert batch.patches.isfinite().all()
            assert batch.targets.isfinite().all()

    def test_all_images_are_annotated(self, cpu):
        spots = Spots()
        assert len(batches(spots, labels_of(spots, tuple(range(COUNT))), cpu, count=2)) == 2


class TestTraining:
    def detector(self):
        torch.manual_seed(0)
        config = DetectorConfig(
            LANDMARKS, channels=(8, 8, 16, 16, 16), finest_stride=2, radius=12.0, sigma=3.0
        )
        return PatchDetector(DetectorNetwork(config), 64)

    def test_the_loss_is_of_the_drawn_landmarks(self, cpu):
        spots, detector = Spots(), self.detector()
        weights = np.zeros((COUNT, LANDMARKS))
        weights[:, 0] = 1
        (batch,) = batches(spots, labels_of(spots, weights=weights), cpu, count=1)
        patch_batch_loss(detector, batch, cpu).backward()
        gradient = detector.network.head.weight.grad
        assert gradient[0].abs().max() > 0
        assert (gradient[1] == 0).all()

    def test_it_learns_a_structure(self, cpu):
        spots, detector = Spots(), self.detector()
        train_patch_detector(
            detector,
            spots,
            labels_of(spots, (0, 1, 2)),
            device=cpu,
            generator=torch.Generator().manual_seed(0),
            budget=Budget(120),
        )
        new = Spots(seed=9)
        errors = []
        for number in range(COUNT):
            expected = new.positions[number] + np.array([[5, -4], [-4, 5]])
            found = detect_in_patches(detector, new.working(number), expected, cpu)
            errors.append(np.linalg.norm(found.positions - new.positions[number], axis=1))
        assert np.mean(errors) < 1.5
