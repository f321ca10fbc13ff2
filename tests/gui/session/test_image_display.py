"""Windows of pictures: the one of the file first."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.gui.session.image_display import AUTOMATIC, FROM_FILE, ImageDisplay

from ...data.images.dicom_files import save


@pytest.fixture
def picture():
    """Intensities from 0 to 4000."""
    array = np.linspace(0, 4000, 64 * 64).reshape(64, 64).astype(np.uint16)
    return MedicalImage(array, Geometry(array.shape), "a")


def stated(folder, picture, level, width):
    return save(folder / f"{level}.dcm", picture.array, WindowCenter=str(level), WindowWidth=str(width))


def test_the_window_of_the_file_comes_first_until_another_one_is_chosen(tmp_path, picture):
    display = ImageDisplay()
    display.show_image(picture, stated(tmp_path, picture, 2000, 1000))
    assert display.window == FROM_FILE
    assert display.limits == (1500, 2500)
    display.show_image(picture, stated(tmp_path, picture, 1000, 1500))
    assert display.limits == (250, 1750)
    display.choose(AUTOMATIC)
    display.show_image(picture, stated(tmp_path, picture, 1200, 1000))
    assert display.window == AUTOMATIC
    display.choose(FROM_FILE)
    assert display.limits == (700, 1700)


def test_files_without_a_window_are_shown_automatically_and_those_with_one_again_by_it(tmp_path, picture):
    display = ImageDisplay()
    display.show_image(picture, stated(tmp_path, picture, 2000, 1000))
    display.show_image(picture, tmp_path / "a.png")
    assert display.window == AUTOMATIC
    assert FROM_FILE not in display.windows
    display.show_image(picture, stated(tmp_path, picture, 1000, 1500))
    assert display.window == FROM_FILE


def test_a_window_beside_the_intensities_is_not_used(tmp_path, picture):
    display = ImageDisplay()
    display.show_image(picture, stated(tmp_path, picture, 30000, 500))
    assert display.window == AUTOMATIC
    assert FROM_FILE not in display.windows
