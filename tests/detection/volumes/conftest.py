"""Volumes on cells of half a millimetre."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.detection.volumes.atlas import Atlas
from napari_landmark.detection.volumes.pyramid import Pyramid

CELL = 0.5


@pytest.fixture
def drawn(ball_body):
    """Draws a `BallVolume`; returns its `Pyramid` and its landmarks (4, 3) in mm."""

    def draw(**pose):
        volume = ball_body.draw(**pose)
        return Pyramid(volume.array, CELL), torch.from_numpy(volume.landmarks * CELL).float()

    return draw


@pytest.fixture
def atlas(drawn, quick_alignment):
    """Atlas of the upright body."""
    return Atlas.from_annotation(*drawn())
