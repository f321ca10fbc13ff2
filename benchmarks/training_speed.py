"""Speed of each stage of a training on one device, by the number of images a step.

    python benchmarks/training_speed.py --data DIR [--device cuda] [--factors 1 8] [--steps 40]

DIR has the form that `cephalometric.py` reads; its images are trained on, the landmarks of `landmarks.csv` serve as
pseudo-labels. The first steps, in which memory is allocated and kernels are chosen, do not count.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from cephalometric import link_images, read_truth

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.detector.detector import DetectorConfig, DetectorNetwork
from napari_landmark.detection.detector.detector_training import train_detector
from napari_landmark.detection.detector.pseudo_labels import PseudoLabels
from napari_landmark.detection.embedding.embedding import Embedding
from napari_landmark.detection.embedding.embedding_training import train_embedding
from napari_landmark.detection.refinement.patch_embedding import PatchEmbedding, PatchEmbeddingConfig
from napari_landmark.detection.refinement.patch_training import train_patch_embedding
from napari_landmark.detection.training.stages import embedding_config
from napari_landmark.learning.device import Device, choose_device
from napari_landmark.learning.loop import Budget, History

_UNCOUNTED = 10  # steps
_SAMPLES = {
    "embedding": 6,
    "across subjects": 4,
    "patch embedding": 16,
    "detector": 3,
}  # of a step on a processor


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
    on_card = device.torch_device.type == "cuda"
    print(f"{device}\n\n{'stage':<16}{'factor':>7}{'ms/step':>9}{'samples/s':>11}{'GiB':>7}")
    with tempfile.TemporaryDirectory() as scratch:
        names = [name for name in truth if splits[name] in ("train", "")]
        link_images(arguments.data / "images", names, Path(scratch) / "images")
        cohort = Cohort.from_folder(Path(scratch) / "images", cache_dir=Path(scratch) / "cache")
        positions = np.stack(
            [
                cohort.canvas_transform(number).to_working(truth[name].positions(cohort.ndim))
                for number, name in enumerate(cohort.names)
            ]
        )
        bench = Bench(
            cohort,
            torch.from_numpy(positions).float(),
            device,
            Budget(steps=_UNCOUNTED + arguments.steps),
        )
        for factor in arguments.factors:
            for name, samples in _SAMPLES.items():
                if name == "detector" and factor > 1:
                    continue  # its batches are always small
                if on_card:
                    torch.cuda.reset_peak_memory_stats(device.torch_device)
                step = seconds_a_step(bench.run(name, factor))
                memory = ""
                if on_card:
                    memory = f"{torch.cuda.max_memory_allocated(device.torch_device) / 2**30:>7.2f}"
                print(
                    f"{name:<16}{factor:>7}{1000 * step:>9.1f}{factor * samples / step:>11.1f}{memory}",
                    flush=True,
                )


def seconds_a_step(history: History) -> float:
    begun = next(seconds for step, seconds, _ in history.losses if step >= _UNCOUNTED)
    return (history.seconds - begun) / (history.steps - _UNCOUNTED)


@dataclass(frozen=True)
class Bench:
    """The stages of a training, each with untrained networks."""

    cohort: Cohort
    positions: torch.Tensor
    device: Device
    budget: Budget

    def run(self, name: str, factor: int) -> History:
        generator = torch.Generator().manual_seed(0)
        if name == "detector":
            labels = PseudoLabels(
                self.positions.numpy(), np.ones(self.positions.shape[:2]), 0.0, annotated=(0,)
            )
            network = DetectorNetwork(DetectorConfig(self.positions.shape[1], self.cohort.ndim))
            return train_detector(
                network, self.cohort, labels, device=self.device, generator=generator, budget=self.budget
            )
        if name == "patch embedding":
            return train_patch_embedding(
                PatchEmbedding(PatchEmbeddingConfig.for_canvas(self.cohort.canvas)),
                self.cohort,
                self.positions,
                device=self.device,
                generator=generator,
                budget=self.budget,
                batch_factor=factor,
            )
        across = name == "across subjects"
        nothing = Budget(steps=0)
        return train_embedding(
            Embedding(embedding_config(self.cohort.canvas)),
            self.cohort,
            device=self.device,
            generator=generator,
            self_budget=nothing if across else self.budget,
            cross_budget=self.budget if across else nothing,
            batch_factor=factor,
        )[across]


if __name__ == "__main__":
    main()
