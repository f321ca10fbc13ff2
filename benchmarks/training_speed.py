"""How fast each stage of a training is on one device, by how many images a step sees.

    python benchmarks/training_speed.py --data DIR [--device cuda] [--factors 1 4] [--steps 40]

DIR has the form that `cephalometric.py` reads; its images are learned from, places are those of `landmarks.csv`. The
first steps, in which memory is taken and kernels are chosen, do not count.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from cephalometric import link_images, read_truth

from napari_landmark.data.cohort import Cohort
from napari_landmark.learning.device import choose_device
from napari_landmark.learning.run import Budget, History
from napari_landmark.oneshot.close_up import CloseUp, CloseUpConfig, train_close_up
from napari_landmark.oneshot.detector import DetectorConfig, DetectorNetwork, TrainingLabels, train_detector
from napari_landmark.oneshot.embedding import Embedding, train_embedding
from napari_landmark.oneshot.stages import embedding_config

_UNCOUNTED = 10  # steps


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--factors", type=int, nargs="+", default=[1])
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_args()
    truth, splits = read_truth(arguments.data / "landmarks.csv")
    device = choose_device(arguments.device)
    print(f"{device}\n\n{'stage':<16}{'factor':>7}{'ms/step':>9}{'samples/s':>11}{'GiB':>7}")
    with tempfile.TemporaryDirectory() as scratch:
        names = [name for name in truth if splits[name] in ("train", "")]
        link_images(arguments.data / "images", names, Path(scratch) / "images")
        cohort = Cohort.from_folder(Path(scratch) / "images", cache_dir=Path(scratch) / "cache")
        places = torch.from_numpy(
            np.stack(
                [
                    cohort.placement(n).to_working(truth[name].positions(cohort.ndim))
                    for n, name in enumerate(cohort.names)
                ]
            )
        ).float()
        labels = TrainingLabels(places, torch.ones(places.shape[:2]), (0,))
        config = embedding_config(cohort.canvas)
        nothing, budget = Budget(steps=0), Budget(steps=_UNCOUNTED + arguments.steps)
        for factor in arguments.factors:
            common = {
                "device": device,
                "generator": torch.Generator().manual_seed(0),
                "batch_factor": factor,
            }
            stages: dict[str, tuple[int, Callable[[], History]]] = {
                "embedding": (
                    6,
                    lambda c=common: train_embedding(
                        Embedding(config), cohort, self_budget=budget, cross_budget=nothing, **c
                    )[0],
                ),
                "across subjects": (
                    4,
                    lambda c=common: train_embedding(
                        Embedding(config), cohort, self_budget=nothing, cross_budget=budget, **c
                    )[1],
                ),
                "close-up": (
                    16,
                    lambda c=common: train_close_up(
                        CloseUp(CloseUpConfig.for_canvas(cohort.canvas)), cohort, places, budget=budget, **c
                    ),
                ),
                "detector": (
                    3,
                    lambda c=common: train_detector(
                        DetectorNetwork(DetectorConfig(places.shape[1], cohort.ndim)),
                        cohort,
                        labels,
                        budget=budget,
                        **c,
                    ),
                ),
            }
            for name, (samples, run) in stages.items():
                if device.torch_device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                history = run()
                begun = next(seconds for step, seconds, _ in history.losses if step >= _UNCOUNTED)
                step = (history.seconds - begun) / (history.steps - _UNCOUNTED)
                memory = (
                    f"{torch.cuda.max_memory_allocated() / 2**30:>7.2f}"
                    if device.torch_device.type == "cuda"
                    else ""
                )
                print(
                    f"{name:<16}{factor:>7}{1000 * step:>9.1f}{factor * samples / step:>11.1f}{memory}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
