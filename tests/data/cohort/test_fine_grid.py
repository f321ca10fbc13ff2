"""Parts of a native image on a grid finer than the working grid."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.cohort import fine_grid as module
from napari_landmark.data.cohort.fine_grid import FineGrid, fine_grids
from napari_landmark.data.cohort.working_grid import fit_canvas_transform, resample
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage

TURNED = ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0))
GEOMETRIES = {
    "picture": (Geometry((300, 240)), (64, 64)),
    "volume, axes exchanged and flipped": (Geometry((40, 70, 60), direction=TURNED), (32, 32, 16)),
}


@pytest.fixture(params=GEOMETRIES.values(), ids=GEOMETRIES)
def drawn(request):
    """A native image of noise and its canvas transform."""
    geometry, canvas = request.param
    array = np.random.default_rng(0).integers(0, 1000, geometry.shape).astype(np.int16)
    return MedicalImage(array, geometry, "noise"), fit_canvas_transform(geometry, canvas)


@pytest.mark.parametrize("zoom", [1.0, 2.0])
def test_boxes_are_parts_of_the_image_resampled_to_a_finer_working_grid(drawn, zoom):
    image, canvas_transform = drawn
    shape = tuple(int(size * zoom) for size in canvas_transform.canvas)
    whole = resample(image, fit_canvas_transform(image.geometry, shape))
    grid = FineGrid(image, canvas_transform, zoom)
    assert grid.shape == shape
    for start in (0, 7, 11):
        box = tuple(slice(start, min(start + 9, size)) for size in shape)
        np.testing.assert_allclose(grid[box], whole[box], atol=1e-5)


def test_at_the_scale_of_the_image_its_own_pixels_are_seen(drawn):
    image, canvas_transform = drawn
    grid = FineGrid(image, canvas_transform, canvas_transform.scale)
    native = np.array(image.geometry.shape) // 2
    at = grid.from_working(canvas_transform.to_working([native]))[0]
    first = np.round(at).astype(int)
    np.testing.assert_allclose(at, first, atol=1e-6)
    low, high = np.percentile(image.array, (0.5, 99.5))
    expected = np.clip((image.array[tuple(native)] - low) / (high - low), 0, 1)
    assert grid[tuple(slice(n, n + 1) for n in first)].item() == pytest.approx(expected, abs=1e-3)


def test_positions_there_and_back(drawn):
    image, canvas_transform = drawn
    grid = FineGrid(image, canvas_transform, 2.5)
    points = np.random.default_rng(1).uniform(-20, 80, (2, 6, len(grid.shape)))
    np.testing.assert_allclose(grid.to_working(grid.from_working(points)), points, atol=1e-9)
    # Edges of the first pixels of both grids are one.
    np.testing.assert_allclose(grid.from_working(np.full((1, 2), -0.5)), -0.5)


def test_only_the_pixels_of_the_box_are_resampled(monkeypatch):
    seen, honest = [], module.resample_array

    def spy(array, *arguments):
        seen.append(array.shape)
        return honest(array, *arguments)

    monkeypatch.setattr(module, "resample_array", spy)
    array = np.random.default_rng(0).integers(0, 255, (2000, 1600)).astype(np.uint8)
    image = MedicalImage(array, Geometry(array.shape), "large")
    grid = FineGrid(image, fit_canvas_transform(image.geometry, (256, 256)), 7.0)
    grid[slice(400, 464), slice(600, 664)]
    assert np.prod(seen[0]) < 2 * 80**2


def test_an_image_of_one_intensity(drawn):
    image, canvas_transform = drawn
    blank = MedicalImage(np.full_like(image.array, 7), image.geometry, "blank")
    box = tuple(slice(0, 8) for _ in canvas_transform.canvas)
    assert (FineGrid(blank, canvas_transform, 2.0)[box] == 0).all()


@pytest.mark.parametrize(("spacing", "zooms"), [(0.25, [2, 4]), (0.35, [2, 4]), (0.5, [2]), (1.0, [])])
def test_cells_that_the_voxels_do_not_resolve_are_left_out(spacing, zooms):
    geometry = Geometry((20, 20, 20), spacing=(1.0, spacing, 1.0))
    image = MedicalImage(np.random.default_rng(0).random((20, 20, 20)), geometry, "volume")
    grids = fine_grids(image, fit_canvas_transform(geometry, (8, 8, 8)), cell=1.0, cells=[0.5, 0.25])
    assert [grid.zoom for grid in grids] == zooms
