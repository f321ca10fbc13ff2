"""Variants of the patch embedding at equal steps, scored on the images they are trained on.

    python benchmarks/patch_embedding.py --data DIR --study DIR [--steps 1000] [--only NAME ...]

DIR of `--data` has the form that `cephalometric.py` reads, `--study` is a study of it, trained before (`OUT/study` of
its `--out`): its embedding gives the positions around which patches are cut. The truth of the training images serves
only to score.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cephalometric import read_truth
from scipy.stats import spearmanr

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.detection.detector.pseudo_labeller import PseudoLabeller
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.refinement import patch_training as module
from napari_landmark.detection.refinement.local_refinement import build_local_refiner, refine_positions
from napari_landmark.detection.refinement.patch_embedding import PatchEmbedding, PatchEmbeddingConfig
from napari_landmark.detection.refinement.patch_training import train_patch_embedding
from napari_landmark.detection.training.templates import find_annotated
from napari_landmark.learning.augmentation import DistortionRange
from napari_landmark.learning.device import choose_device
from napari_landmark.learning.loop import Budget
from napari_landmark.metrics import evaluate

# Changes of each variant: of constants of the module, and of the network's configuration.
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "default": ({}, {}),
    "each patch with its own copy only": ({"_CROSS_FROM": 1.0}, {}),
    "other subjects from 20% on": ({"_CROSS_FROM": 0.2}, {}),
    "patches of 96 pixels": ({}, {"window": 96}),
    "patches of 128 pixels": ({}, {"window": 128}),
    "no elastic distortion": (
        {"_STRONG": DistortionRange(rotation=20, scale=1.25, aspect=1.2, shift=0, elastic=0)},
        {},
    ),
    "twice the elastic distortion": (
        {"_STRONG": DistortionRange(rotation=20, scale=1.25, aspect=1.2, shift=0, elastic=0.048)},
        {},
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--spacing", type=float, default=0.2)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    arguments = parser.parse_args()
    truth, _ = read_truth(arguments.data / "landmarks.csv")
    device = choose_device("cpu")
    study = Study.open(arguments.study)
    cohort = Cohort.from_folder(
        study.images, spacing=arguments.spacing, cache_dir=arguments.study.parent / "cache"
    )
    templates = find_annotated(study, cohort)
    model = load_model(study, device="cpu")
    initial = PseudoLabeller(cohort, templates, device).match(model.embedding)
    for template in templates:
        initial.positions[template.index] = template.positions
    others = [n for n in range(len(cohort)) if n not in {t.index for t in templates}]

    def row(name: str, found: Mapping[int, np.ndarray], consensus: np.ndarray | None, seconds: float) -> None:
        predicted = {
            cohort.names[n]: LandmarkSet.from_array(
                study.schema, cohort.canvas_transform(n).to_native(np.asarray(position))
            )
            for n, position in found.items()
        }
        known = {name: truth[name] for name in predicted}
        result = evaluate(predicted, known, spacing=arguments.spacing)
        rank = ""
        if consensus is not None:
            errors = [
                np.linalg.norm(predicted[n].positions(2) - known[n].positions(2), axis=1) for n in known
            ]
            rank = f"{spearmanr(np.concatenate(errors), -consensus.ravel(), nan_policy='omit')[0]:.2f}"
        print(
            f"| {name} | {result.mre_mm:.2f} | {result.sdr['2']:.1f} | {result.sdr['4']:.1f} | {rank} "
            f"| {seconds / 60:.1f} |",
            flush=True,
        )

    print(
        f"{arguments.steps} steps each\n\n| variant | MRE mm | 2 mm | 4 mm "
        "| rank correlation of low consensus and error | minutes |"
    )
    print("|---|---|---|---|---|---|")
    row("embedding alone", {n: initial.positions[n] for n in others}, None, 0)
    for name in arguments.only:
        changes, configuration = VARIANTS[name]
        torch.manual_seed(0)
        config = PatchEmbeddingConfig(
            **{**PatchEmbeddingConfig.for_canvas(cohort.canvas).to_json(), **configuration}
        )
        network, started = PatchEmbedding(config), time.monotonic()
        with changed(changes):
            train_patch_embedding(
                network,
                cohort,
                torch.from_numpy(initial.positions),
                device=device,
                generator=torch.Generator().manual_seed(0),
                budget=Budget(steps=arguments.steps),
            )
        seconds = time.monotonic() - started
        refiner = build_local_refiner(network, cohort, templates, device)
        found = {
            n: refine_positions(refiner, cohort.working(n), initial.positions[n], device, prior=initial.prior)
            for n in others
        }
        positions = {n: match.between(initial.positions[n]) for n, match in found.items()}
        row(name, positions, np.stack([found[n].consensus for n in others]), seconds)


@contextmanager
def changed(values: Mapping[str, Any]) -> Iterator[None]:
    """Replace constants of the module of the patch embedding inside a `with` block."""
    before = {name: getattr(module, name) for name in values}
    for name, value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


if __name__ == "__main__":
    main()
