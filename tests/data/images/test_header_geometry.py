"""Directions and axes of headers: rounding, shear, and axes that are not of space, in every format."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import read_geometry, read_image

SHAPE = (10, 12, 14)  # x, y, z
SPACING = np.array([0.7, 0.7, 1.5])
ORIGIN = np.array([1.0, 2.0, 3.0])
TURN = Rotation.from_euler("z", 28.6, degrees=True).as_matrix()
PIXELS = np.zeros(np.prod(SHAPE), "<i2").tobytes()


def write_nrrd(path: Path, direction: np.ndarray) -> None:
    vectors = " ".join(f"({','.join(map(repr, map(float, axis)))})" for axis in (direction * SPACING).T)
    path.write_bytes(
        b"NRRD0005\ntype: int16\ndimension: 3\nspace: left-posterior-superior\nsizes: 10 12 14\n"
        + f"space directions: {vectors}\nendian: little\nencoding: raw\nspace origin: (1,2,3)\n\n".encode()
        + PIXELS
    )


def write_metaimage(path: Path, direction: np.ndarray) -> None:
    axes = " ".join(repr(float(value)) for value in direction.T.ravel())
    path.write_bytes(
        b"ObjectType = Image\nNDims = 3\nBinaryData = True\nElementSpacing = 0.7 0.7 1.5\nOffset = 1 2 3\n"
        + f"TransformMatrix = {axes}\nDimSize = 10 12 14\nElementType = MET_SHORT\n".encode()
        + b"ElementDataFile = LOCAL\n"
        + PIXELS
    )


def write_nifti(path: Path, direction: np.ndarray) -> None:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = direction * SPACING, ORIGIN
    affine[:2] *= -1  # LPS to RAS
    header = nibabel.Nifti1Header()
    header.set_data_shape(SHAPE)
    header.set_data_dtype(np.int16)
    header["pixdim"][1:4] = SPACING
    header.set_sform(affine, 1)
    header.set_qform(None, 0)
    header.set_xyzt_units("mm")
    header["magic"], header["vox_offset"] = b"n+1", 352
    path.write_bytes(header.binaryblock + bytes(4) + PIXELS)


WRITERS = {"a.nrrd": write_nrrd, "a.mha": write_metaimage, "a.nii": write_nifti}


@pytest.mark.parametrize("name", WRITERS)
class TestDirections:
    @pytest.mark.parametrize("off", [0, 0.04, 0.1, 0.2])
    def test_a_rounded_rotation_is_kept(self, tmp_path, name, off):
        direction = TURN.copy()
        direction[:, 1] = Rotation.from_euler("z", off, degrees=True).as_matrix() @ direction[:, 1]
        WRITERS[name](tmp_path / name, direction)
        geometry = read_geometry(tmp_path / name)
        index = np.array([9, 11, 13])  # x, y, z
        found = geometry.to_world([index[::-1]])[0][::-1]
        np.testing.assert_allclose(found, ORIGIN + direction @ (index * SPACING), atol=0.03)
        assert read_image(tmp_path / name).geometry == geometry

    @pytest.mark.parametrize("degrees", [0.6, 5, 32])
    def test_shear_is_refused(self, tmp_path, name, degrees):
        direction = TURN.copy()
        direction[:, 1] = Rotation.from_euler("z", degrees, degrees=True).as_matrix() @ direction[:, 1]
        WRITERS[name](tmp_path / name, direction)
        for read in (read_geometry, read_image):
            with pytest.raises(
                InputError, match=rf"{name}: has axes that are not at right angles \(sheared\)"
            ):
                read(tmp_path / name)


class TestTime:
    """An axis behind the third is not of space, however long the others are."""

    SIZE = "10 x 12 x 1 x 5"

    def test_nifti(self, tmp_path):
        image = nibabel.Nifti1Image(np.zeros((10, 12, 1, 5), np.int16), np.diag([2, 2, 4, 1]))
        image.header["pixdim"][4] = 1.5
        image.header.set_xyzt_units("mm", "sec")
        nibabel.save(image, tmp_path / "a.nii")
        self.assert_refused(tmp_path / "a.nii")

    def test_nrrd(self, tmp_path):
        (tmp_path / "a.nrrd").write_bytes(
            b"NRRD0005\ntype: int16\ndimension: 4\nsizes: 10 12 1 5\nspacings: 2 2 4 1.5\nendian: little\n"
            b"encoding: raw\n\n" + bytes(1200)
        )
        self.assert_refused(tmp_path / "a.nrrd")

    def test_metaimage(self, tmp_path):
        (tmp_path / "a.mha").write_bytes(
            b"ObjectType = Image\nNDims = 4\nDimSize = 10 12 1 5\nElementSpacing = 2 2 4 1.5\n"
            b"ElementType = MET_SHORT\nElementDataFile = LOCAL\n" + bytes(1200)
        )
        self.assert_refused(tmp_path / "a.mha")

    def assert_refused(self, path: Path) -> None:
        for read in (read_geometry, read_image):
            with pytest.raises(InputError, match=rf"{path.name}: is a series of pictures \({self.SIZE}\)"):
                read(path)
