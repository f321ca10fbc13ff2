"""A curve keeps its shape and its last loss with a limited number of points."""

from __future__ import annotations

import numpy as np

from napari_landmark.gui.widgets.loss_curve import LIMIT, LossCurve


def test_short_curves_are_kept_whole():
    curve = LossCurve()
    rows = [(step, 1 / step) for step in range(1, 50)]
    assert all(curve.add(*row) for row in rows)
    assert curve.points == rows
    assert not curve.add(49, 3.0)


def test_a_long_curve_stays_small_even_and_right():
    curve = LossCurve()
    steps = np.arange(1, 100_001)
    for step in steps:
        curve.add(int(step), 1000 / (step + 1000.0))
    points = np.array(curve.points)
    assert LIMIT / 2 <= len(points) <= LIMIT + 1
    assert tuple(points[-1]) == (100_000, 1000 / 101_000)
    widths = np.diff(points[:-1, 0])
    assert widths.min() == widths.max()
    np.testing.assert_allclose(points[1:, 1], 1000 / (points[1:, 0] + 1000), rtol=0.2)
