"""How a close-up learns best: variants at equal steps, measured on the images they learn from.

    python benchmarks/close_up.py --data DIR --study DIR [--steps 1000] [--only NAME ...]

DIR of `--data` has the form that `cephalometric.py` reads, `--study` is a study of it, trained before (`OUT/study` of
its `--out`): its embedding finds the places where the close-ups learn and look. The truth of the images learned from
serves to score alone.
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
from napari_landmark.detection.training.templates import find_templates
from napari_landmark.learning.augmentation import DistortionRange
from napari_landmark.learning.device import choose_device
from napari_landmark.learning.loop import Budget
from napari_landmark.metrics import evaluate

# What each variant changes in the module, and in the network's configuration.
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as it is": ({}, {}),
    "each window with itself only": ({"_CROSS_FROM": 1.0}, {}),
    "other subjects from 20% on": ({"_CROSS_FROM": 0.2}, {}),
    "windows of 96 pixels": ({}, {"window": 96}),
    "windows of 128 pixels": ({}, {"window": 128}),
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
    templates = find_templates(study, cohort)
    model = load_model(study, device="cpu")
    places = PseudoLabeller(cohort, templates, device).match(model.embedding)
    for template in templates:
        places.positions[template.index] = template.positions
    others = [n for n in range(len(cohort)) if n not in {t.index for t in templates}]

    def row(name: str, found: Mapping[int, np.ndarray], support: np.ndarray | None, seconds: float) -> None:
        predicted = {
            cohort.names[n]: LandmarkSet.from_array(
                study.schema, cohort.canvas_transform(n).to_native(np.asarray(position))
            )
            for n, position in found.items()
        }
        known = {name: truth[name] for name in predicted}
        result = evaluate(predicted, known, spacing=arguments.spacing)
        rank = ""
        if support is not None:
            errors = [
                np.linalg.norm(predicted[n].positions(2) - known[n].positions(2), axis=1) for n in known
            ]
            rank = f"{spearmanr(np.concatenate(errors), -support.ravel(), nan_policy='omit')[0]:.2f}"
        print(
            f"| {name} | {result.mre_mm:.2f} | {result.sdr['2']:.1f} | {result.sdr['4']:.1f} | {rank} "
            f"| {seconds / 60:.1f} |",
            flush=True,
        )

    print(
        f"{arguments.steps} steps each\n\n| variant | MRE mm | 2 mm | 4 mm | rank of little support | minutes |"
    )
    print("|---|---|---|---|---|---|")
    row("embedding alone", {n: places.positions[n] for n in others}, None, 0)
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
                torch.from_numpy(places.positions),
                device=device,
                generator=torch.Generator().manual_seed(0),
                budget=Budget(steps=arguments.steps),
            )
        seconds = time.monotonic() - started
        look = build_local_refiner(network, cohort, templates, device)
        found = {
            n: refine_positions(look, cohort.working(n), places.positions[n], device, prior=places.prior)
            for n in others
        }
        positions = {n: match.between(places.positions[n]) for n, match in found.items()}
        row(name, positions, np.stack([found[n].consensus for n in others]), seconds)


@contextmanager
def changed(values: Mapping[str, Any]) -> Iterator[None]:
    """The close-up's module with other values, for a while."""
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
