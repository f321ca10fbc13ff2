"""Images of layers that become the images of a study."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_landmark.gui.layers.open_layers import export_layers, open_images


def test_colours_become_luminance(tmp_path):
    array = np.zeros((20, 16, 3), np.uint8)
    array[..., 1] = 100
    (name,) = export_layers([Image(array, name="a/b", rgb=True)], tmp_path)
    assert name == "a_b.tif"
    from napari_landmark.data.images.image import read_image

    assert read_image(tmp_path / name).array[0, 0] == 72  # Rec. 709


def test_another_grid_than_the_files_is_not_taken_for_it(hands):
    from skimage.io import imread

    file = hands[0] / "hand_000.png"
    viewer = ViewerModel()
    viewer.add_image(imread(file)[::-1], metadata={"napari_landmark": {"file": str(file)}})
    assert open_images(viewer).folder is None
