"""The program with small networks, for workers of tests: a training takes a second."""

import os
import sys
from dataclasses import replace

import torch

from napari_landmark.backend import launch
from napari_landmark.cli.app import main
from napari_landmark.detection.embedding.embedding import EmbeddingConfig
from napari_landmark.detection.refinement.patch_embedding import PatchEmbeddingConfig
from napari_landmark.detection.training import options, stages

STEPS = "NAPARI_LANDMARK_TEST_STEPS"
"""Environment variable: see `make_short`."""


def make_small(setattr_=setattr):
    """Replace the sizes of the networks in this process."""
    small = EmbeddingConfig(2, 1, size=8, channels=(8, 8, 8, 8, 8))
    patches = PatchEmbeddingConfig(2, 32, size=8, channels=(8, 8, 8, 8, 8))
    setattr_(stages, "embedding_config", lambda canvas: small)
    setattr_(PatchEmbeddingConfig, "for_canvas", staticmethod(lambda canvas: patches))


def make_short(steps, setattr_=setattr):
    """Let trainings take so many steps a stage in this process, where a job does not say how many."""
    names = ("self", "cross", "patch", "detector", "retrain", "patch_detector")
    # No limit of time is met: on a busy machine it would change the learning rate, and so the model.
    few = {**{f"{name}_steps": steps for name in names}, "limit_minutes": 1e6}
    usual = options.default_options
    setattr_(options, "default_options", lambda *words, **known: replace(usual(*words, **known), **few))


if __name__ == "__main__":
    torch.set_num_threads(1)
    make_small()
    if STEPS in os.environ:
        make_short(int(os.environ[STEPS]))
    launch.OWN_PROGRAM = (sys.executable, __file__)
    main()
