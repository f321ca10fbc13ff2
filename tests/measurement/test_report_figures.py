"""What pictures and charts of reports show, by the artists that draw it."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from napari_landmark.data.error_covariance import region_radius
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.links import Link
from napari_landmark.data.measurement_language.definition import MeasurementSchema
from napari_landmark.measurement.evaluation import MeasuredValue
from napari_landmark.measurement.report_figures import (
    CHART_LIMIT,
    deviation_mark,
    draw_histogram,
    draw_projection,
    draw_tracing,
    projection_planes,
)

SCHEMA = LandmarkSchema(("A", "B"), links=(Link(("A", "B")),))


def share_inside(region: np.ndarray, points: np.ndarray) -> float:
    """Part of points (n, 2) inside a closed line (m, 2), both as x, y."""
    from matplotlib.path import Path

    return float(Path(region).contains_points(points).mean())


def closed_lines(axes) -> list[np.ndarray]:
    lines = [np.column_stack(line.get_data()) for line in axes.lines]
    return [line for line in lines if len(line) > 10]


def test_a_ring_holds_nine_of_ten_errors_of_a_known_covariance():
    covariance = ((9.0, 5.0), (5.0, 4.0))
    marks = LandmarkSet(
        SCHEMA, [Landmark("A", (50, 40), Status.PREDICTED, expected_error=3.1, covariance=covariance)]
    )
    axes = Figure().subplots()
    draw_tracing(axes, marks, Geometry((100, 90), (0.5, 0.5)), np.zeros((100, 90), np.uint8))
    (ring,) = closed_lines(axes)
    errors = np.random.default_rng(0).multivariate_normal((50, 40), covariance, 20_000)
    assert share_inside(ring, errors[:, ::-1]) == pytest.approx(0.9, abs=0.01)


def test_without_a_covariance_a_ring_is_a_circle_in_millimetres():
    marks = LandmarkSet(SCHEMA, [Landmark("A", (50, 40), Status.PREDICTED, expected_error=2.0)])
    axes = Figure().subplots()
    draw_tracing(axes, marks, Geometry((100, 90), (0.4, 0.9)), None)
    (ring,) = closed_lines(axes)
    radii = np.linalg.norm((ring - (40, 50)) * (0.9, 0.4), axis=1)  # mm, as x, y
    sigma = 2.0 * np.sqrt(0.4 * 0.9) / np.sqrt(np.pi / 2)  # Rayleigh
    np.testing.assert_allclose(radii, sigma * region_radius(0.9, 2), rtol=1e-6)


def test_large_rings_do_not_make_the_image_small():
    marks = LandmarkSet(SCHEMA, [Landmark("A", (5, 5), Status.PREDICTED, expected_error=500.0)])
    axes = Figure().subplots()
    draw_tracing(axes, marks, Geometry((40, 30), (1.0, 1.0)), np.zeros((40, 30), np.uint8))
    assert axes.get_xlim() == (-0.5, 29.5)
    assert axes.get_ylim() == (39.5, -0.5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_volumes_are_seen_as_the_patient_lies(axis):
    """A bright voxel is drawn below its landmark whichever way the axes of the array run; superior is on top."""
    directions = np.diag(
        [-1.0, 1.0, -1.0]
    )  # the first and the third axis of the array run against the world's
    geometry = Geometry(
        (12, 20, 16),
        (2.0, 0.5, 1.0),
        direction=tuple(map(tuple, directions.tolist())),
        is_anatomical=True,
    )
    array = np.zeros(geometry.shape, np.float32)
    array[3, 15, 4] = 1.0
    marks = LandmarkSet(SCHEMA, [Landmark("A", (3, 15, 4), Status.PLACED)])
    plane = projection_planes(geometry)[axis]
    axes = Figure().subplots()
    draw_projection(axes, marks, geometry, array, plane)
    shown = axes.images[0].get_array()
    row, column = np.unravel_index(np.argmax(shown), shown.shape)
    points = [line.get_data() for line in axes.lines if len(line.get_xdata()) == 1]
    assert [(x[0], y[0]) for x, y in points] == [(column, row)]
    assert axes.get_title() == ("Axial", "Coronal", "Sagittal")[axis]
    assert plane.letters[0] == ("A", "S", "S")[axis]


def value(measured: float, error: float | None = 0.5) -> MeasuredValue:
    row = {"name": "x", "angle": ["A", "B", "A"], "norms": [{"mean": 10, "sd": 2}]}
    row["angle"] = ["A", "B", "C"]
    definition = MeasurementSchema.from_json({"measurements": [row]}).measurements[0]
    return MeasuredValue("1.png", definition, measured, error, norm=definition.norms[0])


def test_deviations_beyond_the_chart_are_arrows_at_its_end():
    inside, beyond = deviation_mark(value(13)), deviation_mark(value(-40))
    assert inside.value == pytest.approx(1.5)
    assert inside.interval == pytest.approx((1.5 - 0.25 * 1.645, 1.5 + 0.25 * 1.645), abs=1e-3)
    assert inside.beyond == 0
    assert (beyond.value, beyond.beyond) == (-CHART_LIMIT, -1)
    assert beyond.interval == (-CHART_LIMIT, -CHART_LIMIT)
    assert len({deviation_mark(value(at)).color for at in (11, 13, 15)}) == 3
    assert deviation_mark(value(11, None)).interval is None


def test_the_norm_is_behind_the_histogram():
    axes = Figure().subplots()
    draw_histogram(axes, np.array([8.0, 9.0, 11.0, np.nan]), 9.5, value(9).norm)
    span = axes.patches[0]
    assert span.get_x() == pytest.approx(8)
    assert span.get_width() == pytest.approx(4)
    assert axes.lines[0].get_xdata()[0] == 9.5
