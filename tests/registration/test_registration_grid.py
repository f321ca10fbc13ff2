"""Label maps and landmarks on the registration grid."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.cohort.working_grid import fit_canvas_transform
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import Landmark, Status
from napari_landmark.registration.registration_grid import (
    grid_positions,
    label_grid,
    label_probabilities,
    landmark_weight,
)


def test_probabilities_add_up(phantoms, cohort):
    probabilities = label_probabilities(phantoms[0].labels, [1, 2, 3], cohort.canvas_transform(0))
    assert float(probabilities.min()) >= 0
    assert float(probabilities.sum(0).max()) == pytest.approx(1, abs=1e-5)


def test_small_regions_of_large_images_keep_their_area():
    labels = np.zeros((1500, 1200), np.uint8)
    labels[701:704, :] = 1  # three rows, much thinner than a pixel of the grid
    labels[300:305, 411:416] = 2
    canvas_transform = fit_canvas_transform(Geometry(labels.shape), (192, 192))
    shares = label_probabilities(labels, [1, 2], canvas_transform).numpy()
    side = 2 * canvas_transform.scale  # native pixels per cell
    first = round((96 - 1200 / side) / 2) + 2  # beside the image its border is repeated
    rows = shares[1][:, first : first + 10].sum(0) * side
    np.testing.assert_allclose(rows, 3, rtol=0.02)
    assert shares[2].sum() * side**2 == pytest.approx(25, rel=0.02)


def test_a_label_grid_has_the_label_of_the_largest_share():
    labels = np.zeros((36, 30, 24), np.uint8)
    labels[4:20, 6:20, 3:18] = 5
    labels[20:31, 6:25, 9:21] = 9
    labels[2:4, 2:4, 2:4] = 7  # not asked for
    direction = ((0, 0, 1), (-1, 0, 0), (0, 1, 0))
    geometry = Geometry(labels.shape, spacing=(1, 1.5, 1), direction=direction)
    canvas_transform = fit_canvas_transform(geometry, (64, 64, 64))
    shares = label_probabilities(labels, [5, 9], canvas_transform).numpy()
    found = label_grid(labels, [5, 9], canvas_transform).numpy()
    assert found.shape == (32, 32, 32)
    sure = shares.max(0) > 0.8
    assert set(np.unique(found[sure])) == {0, 1, 2}
    assert (found == shares.argmax(0))[sure].mean() > 0.99


def test_positions_are_those_of_the_regions():
    labels = np.zeros((300, 200), np.uint8)
    labels[120:141, 60:81] = 1
    canvas_transform = fit_canvas_transform(Geometry(labels.shape), (96, 96))
    share = label_probabilities(labels, [1], canvas_transform)[1].numpy()
    centroid = np.average(np.argwhere(share > 0), axis=0, weights=share[share > 0])
    np.testing.assert_allclose(grid_positions([[130, 70]], canvas_transform)[0], centroid, atol=0.05)


@pytest.mark.parametrize(
    ("status", "confidence", "weight"),
    [
        (Status.PLACED, 0.3, 1),
        (Status.CORRECTED, None, 1),
        (Status.PREDICTED, 0.3, 0.3),
        (Status.PREDICTED, None, 1),
    ],
)
def test_predicted_landmarks_have_their_confidence_as_weight(status, confidence, weight):
    assert landmark_weight(Landmark("a", (1, 2), status, confidence)) == weight
