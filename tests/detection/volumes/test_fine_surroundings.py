"""Surroundings of landmarks on cells finer than a pyramid's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_landmark.data.cohort.fine_grid import FineGrid
from napari_landmark.data.cohort.isotropic_grid import isotropic_transform
from napari_landmark.data.cohort.working_grid import resample
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.detection.volumes.fine_surroundings import FineSurroundings
from napari_landmark.detection.volumes.pyramid import Pyramid

FLIPPED = ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0))
SPACING = 0.5


@pytest.fixture
def volume():
    """A volume of smooth noise whose axes are not those of the grid."""
    array = gaussian_filter(np.random.default_rng(0).random((60, 70, 80)).astype(np.float32), 2)
    return MedicalImage(array, Geometry(array.shape, spacing=(SPACING,) * 3, direction=FLIPPED), "noise")


@pytest.mark.parametrize("cell", [1.0, 1.3])
def test_values_are_those_of_the_whole_volume_on_fine_cells(volume, cell):
    coarse = isotropic_transform(volume.geometry, cell)
    whole_transform = isotropic_transform(volume.geometry, SPACING)
    whole = Pyramid(resample(volume, whole_transform), SPACING)
    native = np.array([[30.0, 30, 40], [22.3, 41.7, 50.5]])
    positions = torch.from_numpy(coarse.to_working(native) * cell).float()
    same = torch.from_numpy(whole_transform.to_working(native) * SPACING).float()
    found = FineSurroundings.cut(FineGrid(volume, coarse, cell / SPACING), positions, cell=cell)
    assert found.cell == pytest.approx(SPACING)
    steps = (torch.rand(2, 50, 3, generator=torch.Generator().manual_seed(0)) - 0.5) * 12 * SPACING
    values = found.values(positions[:, None] + steps)
    expected = whole.values(same[:, None] + steps, 1)
    assert (values - expected).abs().mean() < 0.03
    assert (values - expected.flip(0)).abs().mean() > 4 * (values - expected).abs().mean()


def test_beyond_the_volume_its_border_is_repeated(volume):
    coarse = isotropic_transform(volume.geometry, 1.0)
    positions = torch.tensor([[-30.0, -30.0, -30.0]])
    found = FineSurroundings.cut(FineGrid(volume, coarse, 2.0), positions, cell=1.0)
    beyond = coarse.to_native(np.full((1, 3), -30.0))[0]
    corner = np.clip(beyond, 0, np.array(volume.array.shape) - 1).astype(int)
    low, high = np.percentile(volume.array, (0.5, 99.5))
    expected = (volume.array[tuple(corner)] - low) / (high - low)
    assert found.values(positions[:, None])[0, 0] == pytest.approx(np.clip(expected, 0, 1), abs=0.05)


def test_smooth_values_are_interpolated_exactly():
    """A ramp: 0 and 1 are its percentiles, positions of both grids are the same lengths."""
    ramp = np.broadcast_to(np.linspace(0, 1, 64)[:, None, None], (64, 64, 64)).astype(np.float32)
    image = MedicalImage(ramp, Geometry(ramp.shape, spacing=(1.0, 1.0, 1.0)), "ramp")
    coarse = isotropic_transform(image.geometry, 2.0)
    pyramid = Pyramid(resample(image, coarse), 2.0)
    positions = torch.tensor([[30.0, 30.0, 30.0], [33.3, 20.0, 40.0]])
    found = FineSurroundings.cut(FineGrid(image, coarse, 2.0), positions, cell=2.0)
    points = positions[:, None] + torch.tensor([[0.0, 0, 0], [3.7, 1, 2], [-5.2, 0, -3]])
    assert torch.allclose(found.values(points), pyramid.values(points, 1), atol=1e-3)
