"""Displacements on the working grid, converted to transforms of native images."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.cohort.working_grid import fit_canvas_transform
from napari_landmark.data.geometry import Geometry
from napari_landmark.registration.transform.from_working_grid import transform_from_displacement

FLIPPED = ((-1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0))


@pytest.mark.parametrize(
    ("fixed", "moving", "canvas"),
    [
        (Geometry((100, 120)), Geometry((100, 120)), (64, 64)),
        (
            Geometry((100, 60), spacing=(0.5, 1.5)),
            Geometry((45, 150), origin=(9, -4), spacing=(2, 0.3)),
            (64, 96),
        ),
        (Geometry((100, 60), spacing=(0.5, 1.5)), Geometry((45, 150)), (64, 96)),
        (
            Geometry((20, 40, 30), spacing=(2, 1, 1)),
            Geometry((30, 40, 30), spacing=(1, 1, 1), direction=FLIPPED, origin=(40, 3, 2)),
            (32, 32, 32),
        ),
    ],
)
def test_a_shift_of_cells(fixed, moving, canvas):
    dims = len(canvas)
    shift = np.array([1.5, -2.0, 0.5])[:dims]
    displacement = np.broadcast_to(shift.reshape(-1, *[1] * dims), (dims, *[n // 2 for n in canvas])).astype(
        np.float32
    )
    transform = transform_from_displacement(displacement, fixed=fixed, moving=moving, canvas=canvas)
    points = np.random.default_rng(0).uniform(0, np.array(fixed.shape) - 1, (50, dims))
    working = fit_canvas_transform(fixed, canvas).to_working(points)
    expected = fit_canvas_transform(moving, canvas).to_native(
        working + 2 * shift
    )  # a cell is two working pixels
    np.testing.assert_allclose(transform.to_moving(points), expected, atol=1e-3)
    assert transform.folding_percent() == 0


def test_a_scaling_is_exact_to_the_border_of_the_image():
    geometry = Geometry((64, 64))
    cells = np.stack(np.meshgrid(*[np.arange(32)] * 2, indexing="ij")) - 15.5
    transform = transform_from_displacement(0.25 * cells, fixed=geometry, moving=geometry, canvas=(64, 64))
    corners = np.array([[-0.5, -0.5], [63.5, 63.5], [-0.5, 63.5]])
    np.testing.assert_allclose(transform.to_moving(corners), 1.25 * (corners - 31.5) + 31.5, atol=1e-4)
