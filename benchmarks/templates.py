"""Error by the choice and the number of templates, without a detector.

    python benchmarks/templates.py --data DIR [--minutes 8 | --study DIR] [--scored 30] [--draws 12] [--record]

DIR as for `cephalometric.py`. One embedding is trained on the training images (split `train`), without any landmark.
Then every image in turn is the template, and the landmarks of the others are matched: that gives the error of the
template that `suggest` ranks first and of all others, at the same budget. And 1, 3, 5 and 10 templates drawn at random
show the gain of more annotated images. With `--study`, the embedding of a trained study is taken, and its matches are
refined.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from cephalometric import link_images, read_truth
from registration import RESULTS, with_section
from scipy.stats import spearmanr

from napari_landmark.cli.terminal_progress import terminal_progress
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.detection.embedding.embedding import Embedding
from napari_landmark.detection.embedding.embedding_training import train_embedding
from napari_landmark.detection.embedding.template_matching import (
    Descriptors,
    Template,
    describe_templates,
    match_templates,
)
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.refinement.local_refinement import (
    LocalRefiner,
    PatchDescriptors,
    build_local_refiner,
    embedding_prior,
    refine_positions,
)
from napari_landmark.detection.template_selection import rank_images
from napari_landmark.detection.training.stages import embedding_config
from napari_landmark.learning.batches import load_batch
from napari_landmark.learning.device import Device, choose_device
from napari_landmark.learning.loop import Budget

COUNTS = (1, 3, 5, 10)


def main() -> None:
    arguments = parse_arguments()
    truth, splits = read_truth(arguments.data / "landmarks.csv")
    names = [name for name in truth if splits[name] in ("train", "")]
    with tempfile.TemporaryDirectory() as scratch:
        link_images(arguments.data / "images", names, Path(scratch) / "images")
        cohort = Cohort.from_folder(
            Path(scratch) / "images", spacing=arguments.spacing, cache_dir=Path(scratch) / "cache"
        )
        text = compare(cohort, truth, arguments)
    print(text)
    if arguments.record:
        heading = f"Choice and number of templates: {arguments.data.name}"
        RESULTS.write_text(with_section(RESULTS.read_text(), heading, text))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--spacing", type=float, help="mm per pixel; errors are in pixels without it")
    parser.add_argument("--minutes", type=float, default=8.0, help="of training the embedding")
    parser.add_argument("--study", type=Path, help="take embedding and patch embedding of this study")
    parser.add_argument("--scored", type=int, default=30, help="images to score, evenly spaced")
    parser.add_argument("--draws", type=int, default=12, help="random sets for each number of templates")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true", help=f"write the tables to {RESULTS.name}")
    return parser.parse_args()


def compare(cohort: Cohort, truth: dict[str, LandmarkSet], arguments: argparse.Namespace) -> str:
    """Both tables, as Markdown."""
    device = choose_device(arguments.device)
    torch.manual_seed(arguments.seed)
    generator = torch.Generator().manual_seed(arguments.seed)
    with terminal_progress() as progress:
        if arguments.study:
            model = load_model(Study.open(arguments.study), device=arguments.device)
            embedding, patches = model.embedding, model.refiner.network
            made = f"--study {arguments.study.name}", "refined"
        else:
            embedding, patches = Embedding(embedding_config(cohort.canvas)), None
            started = time.monotonic()
            train_embedding(
                embedding,
                cohort,
                device=device,
                generator=generator,
                self_budget=Budget(seconds=48 * arguments.minutes),
                cross_budget=Budget(seconds=12 * arguments.minutes),
                progress=progress,
            )
            minutes = (time.monotonic() - started) / 60
            made = f"--minutes {arguments.minutes:g}", f"embedding alone, trained for {minutes:.1f} minutes"
        ranked = rank_images(embedding, cohort, device=device, generator=generator, progress=progress)
    known = [
        Template(number, cohort.canvas_transform(number).to_working(truth[name].positions()))
        for number, name in enumerate(cohort.names)
    ]
    descriptors = describe_templates(embedding, cohort, known, device)
    refiner = build_local_refiner(patches, cohort, known, device) if patches is not None else None
    numbers = list(range(0, len(cohort), max(1, len(cohort) // arguments.scored)))[: arguments.scored]
    measured = _Measured(embedding, cohort, descriptors, refiner, truth, numbers, device)
    alone = np.array([measured.error([number]) for number in range(len(cohort))])
    order = [cohort.index(suggestion.image) for suggestion in ranked]
    scores = [suggestion.score for suggestion in ranked]
    unit = measured.unit
    lines = [
        f"`python benchmarks/templates.py {made[0]} --scored {len(numbers)} "
        f"--draws {arguments.draws} --seed {arguments.seed}`: {len(cohort)} images, {made[1]}.",
        "",
        f"| template | MRE {unit} |",
        "|---|---|",
        f"| best of all (nobody knows which) | {alone.min():.2f} |",
        f"| **first by `suggest`** ({cohort.names[order[0]]}) | **{alone[order[0]]:.2f}** |",
        f"| first five by `suggest`, mean | {alone[order[:5]].mean():.2f} |",
        f"| median of all {len(alone)} | {np.median(alone):.2f} |",
        f"| worst | {alone.max():.2f} |",
        "",
        f"Rank correlation of score and error: {spearmanr(scores, alone[order])[0]:.2f}.",
        "",
        f"| annotated images | MRE {unit}, mean of {arguments.draws} random sets | smallest | largest |",
        "|---|---|---|---|",
    ]
    random = np.random.default_rng(arguments.seed)
    for count in COUNTS:
        errors = [
            measured.error(random.choice(len(cohort), count, replace=False)) for _ in range(arguments.draws)
        ]
        lines.append(f"| {count} | {np.mean(errors):.2f} | {min(errors):.2f} | {max(errors):.2f} |")
    return "\n".join(lines)


class _Measured:
    """Errors in the scored images, with any of the images as templates."""

    def __init__(
        self,
        embedding: Embedding,
        cohort: Cohort,
        descriptors: Descriptors,
        refiner: LocalRefiner | None,
        truth: dict[str, LandmarkSet],
        numbers: list[int],
        device: Device,
    ) -> None:
        self.embedding, self.cohort, self.descriptors = embedding, cohort, descriptors
        self.truth, self.numbers, self.refiner, self.device = truth, numbers, refiner, device
        self.maps = [embedding.embed(load_batch(cohort, [number], 1, device)) for number in numbers]
        self.unit = "mm" if all(cohort.geometry(number).has_spacing for number in numbers) else "pixels"

    def error(self, templates: list[int] | np.ndarray) -> float:
        """Mean radial error in the images that are no template."""
        chosen = [int(number) for number in templates]
        some = Descriptors(
            [vectors[chosen] for vectors in self.descriptors.vectors],
            [maps[chosen] for maps in self.descriptors.maps],
            self.descriptors.positions[chosen],
        )
        errors = []
        for number, maps in zip(self.numbers, self.maps, strict=True):
            if number in chosen:
                continue
            found = match_templates(self.embedding, some, maps)[0]
            if self.refiner is not None:
                image, prior = self.cohort.working(number), embedding_prior(self.embedding)
                found = refine_positions(self._only(chosen), image, found, self.device, prior=prior).between(
                    found
                )
            native = self.cohort.canvas_transform(number).to_native(found)
            distances = np.linalg.norm(native - self.truth[self.cohort.names[number]].positions(), axis=1)
            errors.append(distances * (self.cohort.geometry(number).mean_spacing or 1.0))
        return float(np.nanmean(errors))

    def _only(self, chosen: list[int]) -> LocalRefiner:
        """The refiner with these templates only."""
        kept = self.refiner.descriptors
        some = PatchDescriptors(
            [v[chosen] for v in kept.vectors],
            [m[chosen] for m in kept.maps],
            kept.offsets[chosen],
            kept.around,
        )
        return LocalRefiner(self.refiner.network, some)


if __name__ == "__main__":
    main()
