"""Pictures of the report show what was found where it was found."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.detection.training.report_figures import (
    figure_uri,
    landmark_figure,
    loss_figure,
    picture_uri,
    thumbnail,
)
from napari_landmark.learning.loop import History

SCHEMA = LandmarkSchema(("a", "b", "c"), ("#ff0000", "#00ff00", "#0000ff"))


@pytest.fixture
def wide(tmp_path):
    """A cohort of one grey image of 640 x 320 pixels."""
    Image.fromarray(np.full((320, 640), 90, np.uint8) + np.arange(640, dtype=np.uint8) % 2).save(
        tmp_path / "grey.png"
    )
    return Cohort.from_folder(tmp_path)


def marks(positions):
    return LandmarkSet.from_array(SCHEMA, positions)


class TestThumbnail:
    def test_discs_of_their_colours_at_the_landmarks(self, wide):
        assert wide.canvas == (320, 640)
        picture = thumbnail(wide, 0, marks([[80.0, 160.0], [240.0, 480.0], [np.nan, np.nan]]))
        assert picture.shape == (120, 240, 3)
        assert picture.dtype == np.uint8
        # A pixel of the thumbnail is 8 / 3 pixels of the image.
        for color, (y, x) in (((255, 0, 0), (80, 160)), ((0, 255, 0), (240, 480))):
            rows, columns = np.nonzero((picture == color).all(-1))
            middle = (np.array([rows.mean(), columns.mean()]) + 0.5) * 8 / 3 - 0.5
            np.testing.assert_allclose(middle, (y, x), atol=1.5)
        assert not (picture == (0, 0, 255)).all(-1).any()

    def test_a_landmark_at_the_border(self, wide):
        picture = thumbnail(wide, 0, marks([[0.0, 0.0], [319.0, 639.0], [5.0, -30.0]]))
        assert (picture[0, 0] == (255, 0, 0)).all()
        assert (picture[-1, -1] == (0, 255, 0)).all()
        assert not (picture == (0, 0, 255)).all(-1).any()

    def test_small_images_are_not_enlarged(self, cohort, phantoms):
        assert thumbnail(cohort, 0, phantoms[0].landmarks).shape == (64, 64, 3)


def test_the_template_has_numbers_and_its_proportions(wide):
    figure = landmark_figure(wide, 0, marks([[80.0, 160.0], [np.nan, np.nan], [240.0, 480.0]]))
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["1", "3"]
    assert [text.get_color() for text in axes.texts] == ["#ff0000", "#0000ff"]
    points = [tuple(collection.get_offsets()[0]) for collection in axes.collections]
    np.testing.assert_allclose(points, [(160, 80), (480, 240)])
    np.testing.assert_allclose(axes.collections[0].get_facecolor()[0, :3], to_rgb("#ff0000"))
    width, height = figure.get_size_inches()
    assert width / height == pytest.approx(2)


def test_the_curve_of_a_stage():
    figure = loss_figure(History("first", 30, 1.0, losses=[(1, 6.0, 5.0), (10, 30.0, 3.0)]))
    (line,) = figure.axes[0].lines
    np.testing.assert_allclose(line.get_xdata(), [0.1, 0.5])
    assert line.get_ydata().tolist() == [5.0, 3.0]


def test_a_stage_without_steps_has_no_curve():
    assert not loss_figure(History("second", 0, 0.0)).axes[0].lines


def test_pictures_as_text():
    picture = np.zeros((5, 7, 3), np.uint8)
    for uri, kind, size in (
        (picture_uri(picture), "jpeg", (7, 5)),
        (figure_uri(loss_figure(History("first"))), "png", None),
    ):
        head, content = uri.split(",")
        assert head == f"data:image/{kind};base64"
        with Image.open(io.BytesIO(base64.b64decode(content))) as image:
            assert image.format == kind.upper()
            assert size in (None, image.size)
