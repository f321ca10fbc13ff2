"""The figure is drawn for any pair, at a size that fits a screen."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.registration.pairwise.header_alignment import header_alignment
from napari_landmark.registration.pairwise.qc_figure import qc_figure_png
from napari_landmark.registration.transform.grids import world_geometry
from napari_landmark.registration.transform.transform import Transform


def drawn(fixed, moving, after=None):
    before = header_alignment(fixed.geometry, moving.geometry)
    with Image.open(io.BytesIO(qc_figure_png(fixed, moving, before, after or before))) as picture:
        return np.array(picture.convert("RGB"))


def noise(shape, dtype="uint8", **geometry):
    array = np.random.default_rng(0).uniform(0, 200, shape).astype(dtype)
    return MedicalImage(array, Geometry(shape, **geometry), "an $odd_ name.png")


@pytest.mark.parametrize(
    ("fixed", "moving"),
    [
        (noise((40, 50)), noise((80, 30), "int16")),
        (noise((700, 600), "float32"), noise((40, 30), "bool")),
        (noise((4, 30, 25), spacing=(5, 1, 1)), noise((6, 20, 25), "float64", spacing=(3, 1, 1))),
        (MedicalImage(np.zeros((20, 200)), Geometry((20, 200)), "flat"), noise((20, 200))),
        (noise((300, 6)), noise((6, 300))),
    ],
)
def test_any_pair(fixed, moving):
    picture = drawn(fixed, moving)
    assert picture.shape[1] == 1584
    assert 150 < picture.shape[0] < 1200
    assert picture.std() > 5


def test_folds_are_yellow():
    image = noise((40, 40))
    values = np.zeros((40, 40, 2))
    values[10:30, 10:30, 0] = -2 * np.arange(20)[:, None]
    folded = Transform(image.geometry, image.geometry, world_geometry(image.geometry), values)

    def yellow(picture):
        return (np.abs(picture.astype(int) - (255, 217, 47)).max(axis=-1) < 3).sum()

    assert yellow(drawn(image, image, folded)) > 2000
    assert yellow(drawn(image, image)) == 0
