"""Variants of embedding and detector at equal time: the choices behind the defaults, measured on one folder.

    python benchmarks/variants.py --data DIR [--minutes 2.5] [--only embedding|detector]

DIR has the form that `cephalometric.py` reads. All variants are trained on the images of split `train` (or all) and one
template; the other images' landmarks only score the positions predicted in those same images.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from cephalometric import link_images, read_truth
from torch import nn

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.detection.detector.detector import DetectorConfig, DetectorNetwork
from napari_landmark.detection.detector.detector_training import train_detector
from napari_landmark.detection.detector.pseudo_labels import PseudoLabels
from napari_landmark.detection.embedding.correspondence_loss import (
    POINTS_PER_LEVEL,
    TEMPERATURE,
    correspondence_loss,
)
from napari_landmark.detection.embedding.embedding import Embedding, EmbeddingConfig
from napari_landmark.detection.embedding.embedding_training import SELF_RANGES
from napari_landmark.detection.embedding.feature_matching import describe, match_vectors
from napari_landmark.detection.embedding.informative_points import informative, inside, random_points
from napari_landmark.detection.training.stages import embedding_config
from napari_landmark.learning.augmentation import Distortion, random_appearance
from napari_landmark.learning.batches import load_batch
from napari_landmark.learning.device import Device, choose_device
from napari_landmark.learning.interpolation import cell_coordinates, sample_features
from napari_landmark.learning.loop import Budget, TrainingClock, run_training
from napari_landmark.learning.sampler import random_indices
from napari_landmark.learning.unet import fast_memory_format
from napari_landmark.metrics import evaluate

PAIRS, POINTS, WINDOW = 6, 512, 11
Loss = Callable[..., torch.Tensor]


class TwoNetworks(nn.Module):
    """E_r for whole images and E_p for distorted views, as in CC2D."""

    def __init__(self, config: EmbeddingConfig, *, separate: bool) -> None:
        super().__init__()
        self.image = Embedding(config)
        self.view = Embedding(config) if separate else self.image

    def loss(self, cohort: Cohort, device: Device, generator: torch.Generator, compare: Loss) -> torch.Tensor:
        downsampling = self.image.config.downsampling
        images = load_batch(cohort, random_indices(len(cohort), PAIRS, generator), downsampling, device)
        shape = tuple(images.shape[2:])
        distortion = Distortion.random(PAIRS, shape, ranges=SELF_RANGES, generator=generator)
        query = random_points(PAIRS, POINTS, shape, generator)
        key = distortion.source_of(query)
        valid = inside(key, shape) & informative(images, key, generator)
        views = [random_appearance(x, generator=generator) for x in (images, distortion.apply(images))]
        with device.autocast():
            if self.view is self.image:
                maps = self.image(torch.cat(views))
                keys, queries = [m[:PAIRS] for m in maps], [m[PAIRS:] for m in maps]
            else:
                keys, queries = self.image(views[0]), self.view(views[1])
        return compare(queries, keys, self.image.input_strides, query, key, valid)

    def find(self, cohort: Cohort, template: int, points: torch.Tensor, device: Device) -> torch.Tensor:
        for network in (self.image, self.view):
            network.use_device(device)
        strides = self.image.strides
        vectors = describe(self.view.embed(load_batch(cohort, [template], 1, device)), strides, points)
        found = []
        for number in range(len(cohort)):
            maps = self.image.embed(load_batch(cohort, [number], 1, device))
            found.append(match_vectors(vectors, maps, strides).positions)
        return torch.cat(found)


def windowed_loss(
    query_maps: Sequence[torch.Tensor],
    key_maps: Sequence[torch.Tensor],
    strides: Sequence[int],
    query_points: torch.Tensor,
    key_points: torch.Tensor,
    valid: torch.Tensor,
) -> torch.Tensor:
    """The loss of CC2D: all cells of the coarsest map, only a window around the true cell of finer ones."""
    loss = correspondence_loss(query_maps[:1], key_maps[:1], strides[:1], query_points, key_points, valid)
    offsets = torch.cartesian_prod(*[torch.arange(-WINDOW, WINDOW + 1.0)] * key_points.shape[-1])
    middle = len(offsets) // 2
    levels = zip(query_maps[1:], key_maps[1:], strides[1:], POINTS_PER_LEVEL[1:], strict=False)
    for queries, keys, stride, count in levels:
        vectors = F.normalize(sample_features(queries.float(), query_points[:, :count], stride), dim=-1)
        positions = (
            cell_coordinates(key_points[:, :count], stride)[:, :, None] + offsets + 0.5
        ) * stride - 0.5
        around = sample_features(keys.float(), positions.flatten(1, 2), stride).unflatten(
            1, positions.shape[1:3]
        )
        cosine = (F.normalize(around, dim=-1) * vectors[:, :, None]).sum(-1) / TEMPERATURE
        weights = valid[:, :count].float()
        error = cosine.logsumexp(-1) - cosine[..., middle]
        loss = loss + (error * weights).sum() / weights.sum().clamp(min=1)
    return loss


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--template", default="125.jpg")
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--spacing", type=float, default=0.2)
    parser.add_argument("--only", choices=("embedding", "detector"))
    arguments = parser.parse_args()
    truth, splits = read_truth(arguments.data / "landmarks.csv")
    device, budget = choose_device("cpu"), Budget(seconds=60 * arguments.minutes)
    with tempfile.TemporaryDirectory() as scratch:
        trained_on = [name for name in truth if splits[name] in ("train", "")]
        link_images(arguments.data / "images", trained_on, Path(scratch) / "images")
        cohort = Cohort.from_folder(Path(scratch) / "images", cache_dir=Path(scratch) / "cache")
        bench = Bench(cohort, truth, arguments.template, arguments.spacing, device, budget)
        print(f"{arguments.minutes:g} minutes each\n\n{'variant':<44}{'steps':>7}{'MRE mm':>9}{'<= 4 mm':>9}")
        network = None
        if arguments.only != "detector":
            bench.embedding(
                "separate weights for images and views", separate=True, compare=correspondence_loss
            )
            bench.embedding(
                "shared, finer maps compared within a window", separate=False, compare=windowed_loss
            )
        network = bench.embedding(
            "shared, all cells at every level", separate=False, compare=correspondence_loss
        )
        if arguments.only != "embedding":
            bench.detector("  + detector from scratch", network, initialized=False)
            bench.detector("  + detector initialized from the embedding", network, initialized=True)


class Bench:
    """One cohort, one template, one budget."""

    def __init__(
        self,
        cohort: Cohort,
        truth: dict[str, LandmarkSet],
        template: str,
        spacing: float,
        device: Device,
        budget: Budget,
    ) -> None:
        self.cohort, self.truth, self.spacing, self.device, self.budget = (
            cohort,
            truth,
            spacing,
            device,
            budget,
        )
        self.template = cohort.index(template)
        points = cohort.canvas_transform(self.template).to_working(truth[template].positions(2))
        self.points = torch.from_numpy(points).float()[None]

    def embedding(self, name: str, *, separate: bool, compare: Loss) -> TwoNetworks:
        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(0)
        config = embedding_config(self.cohort.canvas)
        network = TwoNetworks(config, separate=separate).to(memory_format=fast_memory_format(2))
        history = run_training(
            network,
            lambda _: network.loss(self.cohort, self.device, generator, compare),
            TrainingClock().ticks(),
            stage=name,
            budget=self.budget,
            learning_rate=2.5e-3,
            generator=generator,
        )
        self.score(name, history.steps, network.find(self.cohort, self.template, self.points, self.device))
        return network

    def detector(self, name: str, network: TwoNetworks, *, initialized: bool) -> None:
        torch.manual_seed(0)
        positions = network.find(self.cohort, self.template, self.points, self.device)
        positions[self.template] = self.points[0]
        labels = PseudoLabels(
            positions.numpy(), np.ones(positions.shape[:2]), 0.0, annotated=(self.template,)
        )
        detector = DetectorNetwork(DetectorConfig(positions.shape[1]))
        if initialized:
            detector.pyramid.load_state_dict(network.image.pyramid.state_dict())
        generator = torch.Generator().manual_seed(0)
        history = train_detector(
            detector, self.cohort, labels, device=self.device, generator=generator, budget=self.budget
        )
        found = [
            detector.vote(load_batch(self.cohort, [number], 1, self.device), self.device).positions
            for number in range(len(self.cohort))
        ]
        self.score(name, history.steps, torch.cat(found))

    def score(self, name: str, steps: int, found: torch.Tensor) -> None:
        predicted, truth = {}, {}
        for number, image in enumerate(self.cohort.names):
            if number != self.template:
                positions = self.cohort.canvas_transform(number).to_native(found[number].numpy())
                predicted[image] = LandmarkSet.from_array(self.truth[image].schema, positions)
                truth[image] = self.truth[image]
        result = evaluate(predicted, truth, spacing=self.spacing)
        print(f"{name:<44}{steps:>7}{result.mre_mm:>9.2f}{result.sdr['4']:>9.1f}", flush=True)


if __name__ == "__main__":
    main()
