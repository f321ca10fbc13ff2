"""Heatmaps of aligned landmarks."""

from __future__ import annotations

import torch

from napari_landmark.detection.volumes.alignment import align
from napari_landmark.detection.volumes.heatmaps import alignment_heatmaps


def test_the_peak_is_at_the_landmark_in_the_volume(atlas, drawn):
    target, _ = drawn(rotation=1)
    found = align(atlas, target)
    maps = alignment_heatmaps(atlas, target, found, factor=2)
    assert maps.shape == (4, *target.level(2).shape[2:])
    peaks = target.centres(2)[maps.flatten(1).argmax(1)]
    assert (peaks - found.landmarks).norm(dim=1).max() < 1.0  # mm: a cell of the heatmap
    assert torch.allclose(maps.flatten(1).amax(1), torch.ones(4))
    assert maps.min() >= 0 and (maps == 0).float().mean() > 0.5
