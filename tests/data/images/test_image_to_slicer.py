"""Image file -> point -> landmark file -> what 3D Slicer reads there -> back, for random geometries."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.images.image import read_image
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet

SHAPE = (5, 6, 7)
RAS = np.diag([-1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("trip")


@pytest.mark.parametrize("ending", ["nii", "nii.gz", "nrrd", "mha", "mhd"])
@settings(max_examples=15)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    mirrored=st.booleans(),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    spacing=st.tuples(*[st.floats(0.05, 8)] * 3),
    place=st.tuples(*[st.floats(0, 1)] * 3),
)
def test_within_a_thousandth_of_a_millimetre(folder, ending, angles, mirrored, origin, spacing, place):
    rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    if mirrored:
        rotation = rotation * [1, -1, 1]
    volume = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    image = sitk.GetImageFromArray(volume)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(rotation.ravel().tolist())
    path = folder / f"a.{ending}"
    sitk.WriteImage(image, str(path))
    found = read_image(path)
    np.testing.assert_array_equal(found.array, volume)
    index = np.array(place) * (np.array(SHAPE) - 1)
    # What ITK, and so Slicer, takes for the place of this voxel in the patient (LPS).
    world = np.array(origin) + rotation @ (index[::-1] * spacing)
    marks = LandmarkSet.from_array(LandmarkSchema(("a",)), [index])
    geometries = {path.name: found.geometry}
    for name in ("a.mrk.json", "a.fcsv"):
        write_landmarks(folder / name, {path.name: marks}, geometries=geometries)
        back = read_landmarks(folder / name, geometries=geometries)[path.name].positions()[0]
        assert np.linalg.norm((back - index) * spacing[::-1]) < 1e-3
    content = json.loads((folder / "a.mrk.json").read_text())
    markups = content["markups"][0]
    np.testing.assert_allclose(markups["controlPoints"][0]["position"], world, atol=1e-3)
    # The same file as a program that counts to the right and to the front writes it.
    markups["coordinateSystem"] = "RAS"
    markups["controlPoints"][0]["position"] = (RAS @ markups["controlPoints"][0]["position"]).tolist()
    (folder / "a.mrk.json").write_text(json.dumps(content))
    back = read_landmarks(folder / "a.mrk.json", geometries=geometries)[path.name].positions()[0]
    assert np.linalg.norm((back - index) * spacing[::-1]) < 1e-3
