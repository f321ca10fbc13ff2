"""Cost of annotated images: time of a training, time of a detection and size of the model by their number.

    taskset -c 0 python benchmarks/annotated_images.py [--counts 1 10 100 1000] [--images 1000] [--landmarks 6]

The cohort is synthetic hands on a small working grid, the same for all counts; the trainings have a few steps, so that
what is seen is the cost of matching, refinement and prediction. Times are of the processor, so run it
pinned to one core (`taskset -c 0`).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.train import train
from napari_landmark.synthetic import SCHEMA, hand_phantom

OPTIONS = TrainingOptions(
    device="cpu",
    self_steps=4,
    cross_steps=2,
    patch_steps=4,
    detector_steps=4,
    retrain_steps=2,
    patch_detector_steps=2,
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 10, 100, 1000], help="annotated images")
    parser.add_argument("--images", type=int, default=1000, help="of the cohort; the largest count at least")
    parser.add_argument("--detected", type=int, default=20, help="images whose detection is timed")
    parser.add_argument("--landmarks", type=int, default=6)
    parser.add_argument(
        "--size", type=int, nargs=2, default=[128, 104], help="rows and columns of the images"
    )
    parser.add_argument("--working-size", type=int, default=128)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        count = max(arguments.images, *arguments.counts)
        annotated = draw(folder / "images", count, arguments.landmarks, tuple(arguments.size))
        cohort = Cohort.from_folder(
            folder / "images", working_size=arguments.working_size, cache_dir=folder / "cache"
        )
        print(f"{len(cohort)} images on a working grid of {cohort.canvas}, {arguments.landmarks} landmarks\n")
        print("| annotated images | templates | training, s | detection, s an image | model, MB |")
        print("|---|---|---|---|---|")
        for count in arguments.counts:
            print(measure(folder, cohort, annotated, count, arguments.detected), flush=True)


def draw(folder: Path, count: int, landmarks: int, size: tuple[int, int]) -> dict[str, LandmarkSet]:
    """Write synthetic hands; returns their first landmarks by name."""
    folder.mkdir(parents=True)
    schema = LandmarkSchema(SCHEMA.names[:landmarks])
    found = {}
    for seed in range(count):
        phantom = hand_phantom(seed, size=size)
        Image.fromarray(phantom.image.array).save(folder / phantom.image.name)
        marks = (phantom.landmarks[name] for name in schema.names)
        found[phantom.image.name] = LandmarkSet(schema, marks)
    return found


def measure(
    folder: Path, cohort: Cohort, annotated: dict[str, LandmarkSet], count: int, detected: int
) -> str:
    """Train with the first `count` images annotated, detect in some; a line of the table."""
    first = cohort.names[0]
    study = Study.create(
        folder / f"study-{count}", schema=annotated[first].schema, images=folder / "images", template=first
    )
    for name in cohort.names[:count]:
        study.save_annotations(name, annotated[name])
    started = time.process_time()
    report = train(study, cohort, options=OPTIONS)
    training = time.process_time() - started
    size = sum(path.stat().st_size for path in report.model_dir.glob("*.safetensors"))
    model = load_model(study, device="cpu")
    numbers = np.linspace(0, len(cohort) - 1, detected + 1).round().astype(int).tolist()
    model.detect(cohort.read(numbers[0]))  # memory is allocated the first time
    images = [cohort.read(number) for number in numbers[1:]]
    started = time.process_time()
    for image in images:
        model.detect(image)
    seconds = (time.process_time() - started) / len(images)
    templates = len(model.descriptors.positions)
    return f"| {count} | {templates} | {training:.0f} | {seconds:.3f} | {size / 1e6:.1f} |"


if __name__ == "__main__":
    main()
