"""Worker that test_kills.py kills: one kind of work, repeated; every line reports data that are saved."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from pathlib import Path

import numpy as np

from napari_landmark.data.formats.registry import write_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.study import Study

SCHEMA = LandmarkSchema(("a", "b", "c"))
GEOMETRY = Geometry((4000, 4000), (0.5, 0.5))
ENDINGS = ("csv", "mrk.json", "fcsv", "tps", "json", "dlc.csv")


def numbered(number: int) -> LandmarkSet:
    """Landmarks whose positions encode a number."""
    return LandmarkSet.from_array(SCHEMA, np.array([[number % 4000, k + 1] for k in range(3)], float))


def report(saved: object) -> None:
    print(json.dumps(saved), flush=True)


def autosave(folder: Path, start: int) -> None:
    study = Study.open(folder)
    for number in itertools.count(start):
        name = f"image {number % 7}.png"
        study.save_annotations(name, numbered(number), GEOMETRY)
        report([name, number])


def export(folder: Path, start: int) -> None:
    for number in itertools.count(start):
        path = folder / f"a.{ENDINGS[number % len(ENDINGS)]}"
        write_landmarks(path, {"a.png": numbered(number)}, geometries={"a.png": GEOMETRY})
        report([path.name, number])


def small_trainings() -> None:
    """Replace the defaults by trainings of a second, with a checkpoint after every step."""
    import torch

    from napari_landmark.detection.embedding.embedding import EmbeddingConfig
    from napari_landmark.detection.refinement.patch_embedding import PatchEmbeddingConfig
    from napari_landmark.detection.training import options as options_module
    from napari_landmark.detection.training import stages
    from napari_landmark.detection.training import train as pipeline
    from napari_landmark.learning import device

    if pipeline.__dict__.setdefault("made_small", False):
        return
    pipeline.made_small = True
    torch.set_num_threads(1)
    device.available_cores = lambda: 1
    stages.embedding_config = lambda canvas: EmbeddingConfig(2, 1, size=8, channels=(8, 8, 8, 8, 8))
    PatchEmbeddingConfig.for_canvas = lambda canvas: PatchEmbeddingConfig(
        2, 32, size=8, channels=(8, 8, 8, 8, 8)
    )
    default, checkpoint = options_module.default_options, stages.Checkpoint
    options_module.default_options = lambda device, **options: dataclasses.replace(
        default(device, **options),
        self_steps=6,
        cross_steps=4,
        patch_steps=4,
        detector_steps=6,
        retrain_steps=4,
        patch_detector_steps=2,
    )
    stages.Checkpoint = lambda path, resume: checkpoint(path, resume, interval=0.0)


def terminal(arguments: list[str]) -> None:
    from napari_landmark.cli.app import main

    report("begin")
    sys.exit(main(arguments))


def main() -> None:
    kind, folder, *rest = sys.argv[1:]
    if kind in ("autosave", "export"):
        {"autosave": autosave, "export": export}[kind](Path(folder), int(rest[0]))
    else:
        small_trainings()
        terminal(json.loads(rest[0]))


if __name__ == "__main__":
    main()
