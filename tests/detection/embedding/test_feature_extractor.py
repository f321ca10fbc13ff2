"""Feature extractors that other packages add."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from napari_landmark.data.errors import InputError
from napari_landmark.detection.embedding.feature_extractor import (
    ENTRY_POINTS,
    FeatureExtractor,
    extractor_names,
    extractors,
    make_extractor,
)
from napari_landmark.detection.embedding.template_matching import (
    Template,
    describe_templates,
    match_templates,
)

CPU = torch.device("cpu")
MODULE = """
import torch
import torch.nn.functional as F


class PixelFeatures:
    strides = (8, 4)
    fingerprint = "pixels, first version"

    def __init__(self, spatial_dims, device):
        kernels = torch.randn(48, 1, *[6] * spatial_dims, generator=torch.Generator().manual_seed(0))
        mean = kernels.flatten(1).mean(1).view(-1, *[1] * (spatial_dims + 1))
        self.kernels = (kernels - mean).to(device)
        self.convolve = {2: F.conv2d, 3: F.conv3d}[spatial_dims]

    def embed(self, images):
        return [
            F.normalize(self.convolve(images, self.kernels, stride=s, padding=13 - s // 2, dilation=5), dim=1)
            for s in self.strides
        ]


no_factory = 3
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a package with entry points on the path."""

    def make(**entries):
        (tmp_path / "pixel_features_for_a_test.py").write_text(MODULE)
        metadata = tmp_path / "pixel_features_for_a_test-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: pixel-features-for-a-test\nVersion: 1.0\n"
        )
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (metadata / "entry_points.txt").write_text("\n".join([f"[{ENTRY_POINTS}]", *lines, ""]))
        monkeypatch.syspath_prepend(tmp_path)

    return make


def test_without_such_a_package_there_is_none():
    with pytest.raises(InputError, match=r"feature extractor 'pixels' cannot be used: .*none is installed"):
        make_extractor("pixels", 2, CPU)


def test_the_template_is_matched_with_it(install, textured_cohort, cpu):
    install(pixels="pixel_features_for_a_test:PixelFeatures")
    assert extractor_names() == ["pixels"]
    extractor = make_extractor("pixels", 2, CPU)
    assert isinstance(extractor, FeatureExtractor)
    cohort = textured_cohort([(0, 0), (5, -7), (2.3, -1.6)], (128, 96))
    descriptors = describe_templates(extractor, cohort, [Template(0, cohort.truth[0])], cpu)
    for number in range(3):
        maps = extractor.embed(torch.from_numpy(cohort.working(number))[None, None])
        match = match_templates(extractor, descriptors, maps)
        assert np.linalg.norm(match.positions - cohort.truth[number], axis=-1).max() < 3


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module_for_a_test:make", "No module named"),
        ("pixel_features_for_a_test:missing", "missing"),
        ("pixel_features_for_a_test:no_factory", "it is no function or class"),
    ],
)
def test_a_broken_package_is_one_line_of_warning(install, caplog, value, reason):
    install(pixels="pixel_features_for_a_test:PixelFeatures", broken=value)
    with caplog.at_level(logging.WARNING):
        found = extractors()
    assert list(found) == ["pixels"]
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith("feature extractor 'broken' of ")
    assert reason in message
    assert "\n" not in message
    with pytest.raises(InputError, match=r"'broken' cannot be used: choose another \(pixels\)"):
        make_extractor("broken", 2, CPU)
