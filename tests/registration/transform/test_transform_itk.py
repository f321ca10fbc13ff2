"""A transform gives the same image in SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.registration.transform.grids import world_geometry
from napari_landmark.registration.transform.transform import Transform


def itk_image(image: MedicalImage) -> sitk.Image:
    world = world_geometry(image.geometry)
    file = sitk.GetImageFromArray(image.array)
    file.SetSpacing(world.spacing[::-1])
    file.SetOrigin(world.origin[::-1])
    file.SetDirection(np.array(world.direction)[::-1, ::-1].ravel().tolist())
    return file


@pytest.fixture
def check(example):
    """Asserts that an ITK transform resamples the moving image as the transform does."""

    def same_image(transform: Transform, itk_transform: sitk.Transform) -> None:
        moving = example.picture(transform.moving)
        target = itk_image(example.picture(transform.fixed))
        expected = sitk.GetArrayFromImage(
            sitk.Resample(itk_image(moving), target, itk_transform, sitk.sitkLinear, 0.0)
        )
        warped = transform.warp_image(moving).array
        points = transform.to_moving(np.argwhere(np.ones(transform.fixed.shape)))
        inside = transform.moving.contains(points, -0.01).reshape(transform.fixed.shape)
        assert inside.mean() > 0.3
        # A tenth of a percent of what the pictures vary by.
        np.testing.assert_allclose(warped[inside], expected[inside], atol=1e-3 * moving.array.std())

    return same_image


def test_in_memory(smooth, check):
    check(smooth, smooth.to_itk())


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_from_a_file(smooth, check, suffix, tmp_path):
    smooth.save(tmp_path / f"warp{suffix}")
    field = sitk.ReadImage(str(tmp_path / f"warp{suffix}"), sitk.sitkVectorFloat64)
    check(smooth, sitk.DisplacementFieldTransform(field))


def test_a_grid_that_ends_before_the_image(smooth, check):
    grid = smooth.grid
    inner = tuple(slice(2, -2) for _ in grid.shape)
    origin = tuple(grid.to_world([[2] * grid.ndim])[0])
    values = smooth.displacement[inner]
    small = Geometry(values.shape[:-1], grid.spacing, origin, grid.direction)
    cut = Transform(smooth.fixed, smooth.moving, small, values)
    check(cut, cut.to_itk())
