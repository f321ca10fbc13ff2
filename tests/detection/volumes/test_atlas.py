"""Points that an annotated volume is aligned by."""

from __future__ import annotations

import torch

from napari_landmark.detection.volumes.atlas import Atlas


def test_the_sphere_holds_all_landmarks_and_blocks_are_spread_over_structure(atlas):
    assert (atlas.landmarks - atlas.centre).norm(dim=1).max() < atlas.radius
    distances = torch.cdist(atlas.blocks, atlas.blocks) + 1e3 * torch.eye(len(atlas.blocks))
    assert distances.min() > 1.0
    slopes = atlas.volume.values_and_slopes(atlas.blocks, 2)[1:].norm(dim=0)
    everywhere = atlas.volume.values_and_slopes(atlas.volume.centres(2), 2)[1:].norm(dim=0)
    assert slopes.median() > 2 * everywhere.median()


def test_one_landmark_does_not_show_the_pose(drawn, quick_alignment):
    volume, landmarks = drawn()
    landmarks[1:] = torch.nan
    atlas = Atlas.from_annotation(volume, landmarks)
    assert atlas.radius >= 15  # half of the longest side, in mm
    assert atlas.known.tolist() == [True, False, False, False]
    assert len(atlas.points) == len(atlas.blocks) + 1


def test_the_same_annotation_gives_the_same_atlas(atlas, drawn):
    again = Atlas.from_annotation(*drawn())
    assert torch.equal(atlas.blocks, again.blocks)
    assert torch.equal(atlas.samples(1)[2], again.samples(1)[2])
