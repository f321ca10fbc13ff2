"""Images written as NRRD come back as they were, and with the spacing they had."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import read_image
from napari_landmark.data.images.nrrd import write_nrrd

TURNED = ((0.6, -0.8), (0.8, 0.6))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_numbers_and_place(tmp_path, dtype):
    array = np.arange(30).reshape(5, 6).astype(dtype)
    geometry = Geometry((5, 6), spacing=(0.5, 2.0), origin=(3, -7), direction=TURNED, spacing_source="file")
    write_nrrd(tmp_path / "a.nrrd", array, geometry)
    back = read_image(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(back.array, array)
    assert back.array.dtype == array.dtype
    assert back.geometry.spacing == geometry.spacing
    np.testing.assert_allclose(back.geometry.to_world([[2, 3]]), geometry.to_world([[2, 3]]), atol=1e-9)


def test_a_volume(tmp_path):
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    write_nrrd(tmp_path / "a.nrrd", array, Geometry((3, 4, 5), spacing=(3, 2, 1)))
    back = read_image(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(back.array, array)
    assert back.geometry.spacing == (3, 2, 1)


@pytest.mark.parametrize("shape", [(5, 6), (3, 4, 5)])
def test_an_unknown_spacing_stays_unknown(tmp_path, shape):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    write_nrrd(tmp_path / "a.nrrd", array, Geometry(shape))
    back = read_image(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(back.array, array)
    assert not back.geometry.has_spacing
    image = sitk.ReadImage(str(tmp_path / "a.nrrd"))
    assert (image.GetSpacing(), image.GetOrigin()) == ((1.0,) * len(shape), (0.0,) * len(shape))


@pytest.mark.parametrize(("dtype", "read"), [("float16", "float32"), ("bool", "uint8")])
def test_types_that_itk_lacks(tmp_path, dtype, read):
    array = (np.arange(30).reshape(5, 6) % 2).astype(dtype)
    write_nrrd(tmp_path / "a.nrrd", array, Geometry((5, 6)))
    back = read_image(tmp_path / "a.nrrd").array
    assert back.dtype == read
    np.testing.assert_array_equal(back, array)
