"""Landmarks carried into other volumes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_landmark.data.cohort.fine_grid import FineGrid
from napari_landmark.data.cohort.isotropic_grid import isotropic_transform
from napari_landmark.data.cohort.working_grid import resample
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.detection.volumes.alignment import align
from napari_landmark.detection.volumes.atlas import Atlas
from napari_landmark.detection.volumes.pyramid import Pyramid


@pytest.mark.parametrize("number", [1, 2, 3])
def test_landmarks_of_a_bent_body_are_found_in_any_pose(atlas, drawn, number):
    target, truth = drawn(rotation=number, bend=1.0, shift=(number, 0, -2))
    found = align(atlas, target)
    assert (found.landmarks - truth).norm(dim=1).max() < 0.5 * 0.5  # half a cell
    assert found.agreement > 0.7 and found.overlap > 0.8


def test_a_volume_of_something_else_agrees_less(atlas, drawn):
    noise = Pyramid(np.random.default_rng(0).random((56, 60, 64)), 0.5)
    assert align(atlas, noise).agreement < 0.5 * align(atlas, drawn(rotation=1)[0]).agreement


def test_positions_go_back_to_the_atlas(atlas, drawn):
    target, truth = drawn(rotation=1, bend=1.0)
    found = align(atlas, target)
    assert (found.to_atlas(atlas, truth) - atlas.landmarks).norm(dim=1).max() < 0.25
    unknown = found.to_atlas(atlas, torch.full_like(truth, torch.nan))
    assert unknown.isnan().all()


def test_a_landmark_that_the_atlas_lacks_comes_from_its_surroundings(drawn, quick_alignment):
    volume, landmarks = drawn()
    partial = landmarks.clone()
    partial[2] = torch.nan
    atlas = Atlas.from_annotation(volume, partial)
    target, truth = drawn(rotation=2)
    found = align(atlas, target)
    assert found.landmarks.isnan().any(1).tolist() == [False, False, True, False]
    assert (found.to_atlas(atlas, truth)[2] - landmarks[2]).norm() < 0.5


def test_finer_cells_around_the_landmarks_find_them_better(ball_body, quick_alignment):
    """Voxels of half a millimetre on cells of one: landmarks that a person placed on voxels are found on voxels."""

    def large(**pose):
        volume = ball_body.draw(enlarged=2, noise=0.05, **pose)
        image = MedicalImage(volume.array, Geometry(volume.array.shape, spacing=(0.5,) * 3), "large")
        transform = isotropic_transform(image.geometry, 1.0)
        landmarks = torch.from_numpy(transform.to_working(volume.landmarks)).float()
        return Pyramid(resample(image, transform), 1.0), landmarks, [FineGrid(image, transform, 2.0)]

    volume, landmarks, own = large()
    atlas = Atlas.from_annotation(volume, landmarks, finer=own)
    errors = {"coarse": [], "fine": []}
    for number in (1, 2, 3):
        target, truth, finer = large(rotation=number, bend=1.0)
        coarse, fine = align(atlas, target), align(atlas, target, finer=finer)
        assert (coarse.cell, fine.cell) == (1.0, 0.5)
        errors["coarse"].append((coarse.landmarks - truth).norm(dim=1))
        errors["fine"].append((fine.landmarks - truth).norm(dim=1))
    assert torch.cat(errors["fine"]).mean() < 0.75 * torch.cat(errors["coarse"]).mean()
    assert torch.cat(errors["fine"]).max() < 0.25
