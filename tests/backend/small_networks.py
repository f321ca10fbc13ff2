"""The program with small networks, for workers of tests: a training takes a second."""

import sys

import torch

from napari_landmark.backend import launch
from napari_landmark.cli.app import main
from napari_landmark.detection.embedding.embedding import EmbeddingConfig
from napari_landmark.detection.refinement.patch_embedding import PatchEmbeddingConfig
from napari_landmark.detection.training import stages


def make_small(setattr_=setattr):
    """Replace the sizes of the networks in this process."""
    small = EmbeddingConfig(2, 1, size=8, channels=(8, 8, 8, 8, 8))
    patches = PatchEmbeddingConfig(2, 32, size=8, channels=(8, 8, 8, 8, 8))
    setattr_(stages, "embedding_config", lambda canvas: small)
    setattr_(PatchEmbeddingConfig, "for_canvas", staticmethod(lambda canvas: patches))


if __name__ == "__main__":
    torch.set_num_threads(1)
    make_small()
    launch.OWN_PROGRAM = (sys.executable, __file__)
    main()
