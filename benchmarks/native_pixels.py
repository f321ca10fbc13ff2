"""Gain of refinement on native pixels over refinement on the working grid alone.

    python benchmarks/native_pixels.py [--size 2400 1920] [--working-size 384] [--steps 500]
    python benchmarks/native_pixels.py --data DIR --study DIR [--working-size 256] [--spacing 0.2]

The first form draws hands and trains a patch embedding on some of them. The second takes the patch embedding of a study
trained before and the images of split `train` of DIR, which has the form that `cephalometric.py` reads. Initial
positions are the truth with noise, so that nothing but the refinement is measured; the first image, or the study's
template, is the template. Truth serves only for that noise and to score.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from cephalometric import read_truth

from napari_landmark.data.cohort.cohort import working_canvas
from napari_landmark.data.cohort.fine_grid import FineGrid
from napari_landmark.data.cohort.working_grid import CanvasTransform, fit_canvas_transform, resample
from napari_landmark.data.images.image import read_image
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.refinement.local_refinement import describe_landmarks, refine_positions
from napari_landmark.detection.refinement.native_refinement import NativeRefiner, refine_on_native_pixels
from napari_landmark.detection.refinement.patch_embedding import PatchEmbedding, PatchEmbeddingConfig
from napari_landmark.detection.refinement.patch_training import train_patch_embedding
from napari_landmark.learning.device import choose_device
from napari_landmark.learning.loop import Budget
from napari_landmark.synthetic import hand_phantom

_PRIOR = 2.5  # pixels of the working grid
_TRAINED_HANDS = 20


class WorkingImages:
    """Working images in memory, as a training of a patch embedding reads them."""

    def __init__(self, pixels: Sequence[np.ndarray]) -> None:
        self.pixels, self.canvas = pixels, pixels[0].shape

    def __len__(self) -> int:
        return len(self.pixels)

    def working_part(self, number: int, box: tuple[slice, ...]) -> np.ndarray:
        return self.pixels[number][box]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--study", type=Path)
    parser.add_argument("--spacing", type=float)
    parser.add_argument("--size", type=int, nargs=2, default=[2400, 1920], help="of the drawn hands")
    parser.add_argument("--working-size", type=int)
    parser.add_argument("--images", type=int, default=16, help="images that are scored")
    parser.add_argument("--noise", type=float, default=2.0, help="of initial positions, working-grid pixels")
    parser.add_argument("--steps", type=int, default=500, help="of the training on hands")
    arguments = parser.parse_args()
    device, network = choose_device("cpu"), None
    if arguments.study is not None:
        study = Study.open(arguments.study)
        truth, splits = read_truth(arguments.data / "landmarks.csv")
        others = [name for name in truth if splits[name] in ("train", "") and name != study.template]
        every = max(1, len(others) // arguments.images)
        names = [study.template, *others[::every][: arguments.images]]
        images = [read_image(arguments.data / "images" / name, spacing=arguments.spacing) for name in names]
        positions = [truth[name].positions(2) for name in names]
        refiner = load_model(study, device="cpu").refiner
        network = None if refiner is None else refiner.network
    else:
        count = _TRAINED_HANDS + arguments.images
        phantoms = [hand_phantom(seed, size=tuple(arguments.size)) for seed in range(count)]
        images = [phantom.image for phantom in phantoms]
        positions = [phantom.landmarks.positions(2) for phantom in phantoms]
    canvas = working_canvas([image.geometry for image in images], arguments.working_size or 384)
    transforms = [fit_canvas_transform(image.geometry, canvas) for image in images]
    exact = [t.to_working(p) for t, p in zip(transforms, positions, strict=True)]
    rng = np.random.default_rng(0)
    initial = [exact[0], *(p + rng.normal(size=p.shape) * arguments.noise for p in exact[1:])]
    working = [resample(image, t) for image, t in zip(images, transforms, strict=True)]
    scored = range(1, len(images))
    if network is None:
        torch.manual_seed(0)
        network = PatchEmbedding(PatchEmbeddingConfig.for_canvas(canvas))
        train_patch_embedding(
            network,
            WorkingImages(working[:_TRAINED_HANDS]),
            torch.from_numpy(np.stack(initial[:_TRAINED_HANDS])),
            device=device,
            generator=torch.Generator().manual_seed(0),
            budget=Budget(steps=arguments.steps),
        )
        scored = range(_TRAINED_HANDS, len(images))
    scale = transforms[0].scale
    print(f"{len(scored)} images, working grid {canvas}, {scale:.2f} native pixels per pixel of it\n")
    print("| refinement | mean error, native pixels | median | 90% | s an image |\n|---|---|---|---|---|")
    refiner = describe_landmarks(network, [(working[0], exact[0])], device)
    grid = FineGrid(images[0], transforms[0], scale)
    native = NativeRefiner(describe_landmarks(network, [(grid, grid.from_working(exact[0]))], device), scale)

    def on_working_grid(number: int, expected: np.ndarray) -> np.ndarray:
        return refine_positions(refiner, working[number], expected, device, prior=_PRIOR).between(expected)

    def on_native_pixels(number: int, expected: np.ndarray) -> np.ndarray:
        found = refine_on_native_pixels(native, images[number], transforms[number], expected, device)
        return found.between(expected)

    def row(
        name: str, refine: Callable[[int, np.ndarray], np.ndarray], before: dict[int, np.ndarray]
    ) -> dict[int, np.ndarray]:
        started = time.process_time()
        found = {number: refine(number, before[number]) for number in scored}
        seconds = (time.process_time() - started) / len(scored)
        errors = np.concatenate([native_error(transforms[n], found[n], positions[n]) for n in scored])
        shown = (errors.mean(), np.median(errors), np.quantile(errors, 0.9), seconds)
        print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in shown) + " |", flush=True)
        return found

    start = row("none (truth with noise)", lambda _, expected: expected, dict(enumerate(initial)))
    once = row("on the working grid", on_working_grid, start)
    twice = row("on the working grid, twice", on_working_grid, once)
    row("on the working grid, then on native pixels", on_native_pixels, once)
    row("on the working grid twice, then on native pixels", on_native_pixels, twice)


def native_error(transform: CanvasTransform, working: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n,) distances in native pixels of positions on the working grid from native ones."""
    return np.linalg.norm(transform.to_native(working) - truth, axis=1)


if __name__ == "__main__":
    main()
