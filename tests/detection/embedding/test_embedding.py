"""Maps of an embedding, and its contract as a feature extractor."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.detection.embedding.embedding import Embedding, EmbeddingConfig
from napari_landmark.detection.embedding.feature_extractor import FeatureExtractor

SMALL = (8, 8, 8, 16, 16)


def small(dims=2, downsampling=1, **options):
    torch.manual_seed(0)
    return Embedding(EmbeddingConfig(dims, downsampling, size=8, channels=SMALL, **options))


@pytest.mark.parametrize("downsampling", [1, 2])
@pytest.mark.parametrize("shape", [(128, 192), (64, 128, 64)])
def test_unit_vectors_on_every_level(shape, downsampling):
    embedding = small(len(shape), downsampling)
    assert isinstance(embedding, FeatureExtractor)
    maps = embedding.embed(torch.rand(2, 1, *shape))
    assert not embedding.training
    for found, stride in zip(maps, embedding.strides, strict=True):
        assert found.shape == (2, 8, *(n // stride for n in shape))
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.norm(dim=1), torch.ones(found[:, 0].shape))
        assert not found.requires_grad


def test_strides_are_those_of_the_working_grid():
    assert small(downsampling=2).strides == (64, 32, 16, 8)
    assert small(downsampling=2).input_strides == (32, 16, 8, 4)


def test_an_image_may_be_downsampled_already():
    embedding, images = small(downsampling=2), torch.rand(1, 1, 128, 64)
    halved = torch.nn.functional.avg_pool2d(images, 2)
    for one, other in zip(embedding.embed(images), embedding.embed_input(halved), strict=True):
        torch.testing.assert_close(one, other)


def test_the_fingerprint_is_that_of_the_weights():
    embedding = small()
    before = embedding.fingerprint
    assert small().fingerprint == before
    with torch.no_grad():
        embedding.heads[0].bias.add_(1e-3)
    assert embedding.fingerprint != before


def test_its_description_makes_the_same_architecture():
    config = EmbeddingConfig(3, 1, 16, SMALL, 8)
    assert EmbeddingConfig(**config.to_json()) == config
