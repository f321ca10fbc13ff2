"""Landmarks of volumes through every format and back, from oblique files and from a folder of slices."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import read_geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet

from ..images.dicom_files import TURNED, save

SCHEMA = LandmarkSchema(("one", "two"))
MARKS = LandmarkSet.from_array(SCHEMA, [(3.25, 7.5, 11.125), (0.0, 4.0, 5.5)])
SUFFIXES = (".mrk.json", ".fcsv", ".tps", ".csv")


def round_trip(path, geometry):
    write_landmarks(path, {"v.nii.gz": MARKS}, geometries={"v.nii.gz": geometry})
    (back,) = read_landmarks(path, schema=SCHEMA, geometries={"v.nii.gz": geometry}).values()
    return back.positions(3)


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(seed=st.integers(0, 1000), mirrored=st.booleans())
@settings(max_examples=15)
def test_of_any_rotation(tmp_path_factory, suffix, seed, mirrored):
    direction = Rotation.random(random_state=seed).as_matrix() * ((1, 1, -1) if mirrored else (1, 1, 1))
    geometry = Geometry((20, 30, 40), (2.5, 0.5, 0.75), (100.0, -50.0, 7.0), tuple(map(tuple, direction)))
    back = round_trip(tmp_path_factory.mktemp("formats") / f"a{suffix}", geometry)
    np.testing.assert_allclose(back, MARKS.positions(3), atol=2e-3)


@pytest.mark.parametrize("suffix", (".mrk.json", ".fcsv"))
def test_millimetres_are_those_of_itk(tmp_path, suffix):
    image = sitk.Image([12, 10, 8], sitk.sitkInt16)
    image.SetSpacing((0.75, 0.5, 2.5))
    image.SetOrigin((7.0, -50.0, 100.0))
    image.SetDirection(Rotation.from_euler("xyz", [20, 35, 50], degrees=True).as_matrix().ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / "v.nii.gz"))
    geometry = read_geometry(tmp_path / "v.nii.gz")
    path = tmp_path / f"a{suffix}"
    write_landmarks(path, {"v.nii.gz": MARKS}, geometries={"v.nii.gz": geometry})
    text = path.read_text()
    for z, y, x in MARKS.positions(3):
        for value in image.TransformContinuousIndexToPhysicalPoint((x, y, z)):
            assert f"{value:.3f}"[:5] in text.replace(" ", "")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_of_a_folder_of_slices(tmp_path, suffix):
    (tmp_path / "patient").mkdir()
    for number in range(6):
        position = np.array([10.0, 20.0, 30.0]) + 2.5 * number * TURNED[:, 2]
        save(
            tmp_path / "patient" / f"{9 - number}.dcm",
            np.zeros((16, 18), np.uint16),
            SeriesInstanceUID="1.2.3",
            ImagePositionPatient=[round(float(v), 6) for v in position],
            ImageOrientationPatient=[round(float(v), 6) for v in (*TURNED[:, 0], *TURNED[:, 1])],
            PixelSpacing=[0.5, 0.75],
        )
    geometry = read_geometry(tmp_path / "patient")
    assert geometry.shape == (6, 16, 18) and geometry.is_anatomical
    np.testing.assert_allclose(round_trip(tmp_path / f"a{suffix}", geometry), MARKS.positions(3), atol=2e-3)
