"""NIfTI as nibabel reads it is NIfTI as ITK, and so 3D Slicer, reads it; and headers that must not be believed."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import MedicalImage, read_geometry, read_image

SHAPE = (5, 6, 7)  # x, y, z
SPACING = (0.5, 0.75, 2.0)


def affine(seed: int = 0, *, shear: float = 0.0, mirrored: bool = False, origin=(10, -20, 30)) -> np.ndarray:
    matrix = Rotation.random(random_state=seed).as_matrix() * SPACING
    if mirrored:
        matrix[:, 2] *= -1
    matrix[:, 0] += shear * matrix[:, 1]
    whole = np.eye(4)
    whole[:3, :3], whole[:3, 3] = matrix, origin
    return whole


def volume(dtype: str = "i2", shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    values = np.random.default_rng(0).uniform(-99, 99, shape)
    return (abs(values) if np.dtype(dtype).kind == "u" else values).astype(dtype)


def save(path: Path, array: np.ndarray, *, qform=None, sform=None, codes=(0, 1), **fields) -> Path:
    """A NIfTI-1 file with exactly these transforms, codes and header fields."""
    header = nibabel.Nifti1Header(endianness=">" if array.dtype.str[0] == ">" else "<")
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_xyzt_units("mm")
    header.set_qform(affine() if qform is None else qform, codes[0])
    header.set_sform(affine() if sform is None else sform, codes[1])
    header["pixdim"][1:4] = SPACING
    header["magic"], header["vox_offset"] = b"n+1", 352
    for name, value in fields.items():
        header[name] = value
    content = header.binaryblock + bytes(4) + array.tobytes(order="F")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def assert_as_itk(path: Path, found: MedicalImage, *, dtype: bool = True) -> None:
    image = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(image)
    np.testing.assert_array_equal(found.array, array)
    if dtype:
        assert found.array.dtype == array.dtype
    for index in np.ndindex(2, 2, 2):
        corner = np.multiply(index, np.array(array.shape) - 1)
        expected = image.TransformIndexToPhysicalPoint([int(n) for n in corner[::-1]])[::-1]
        np.testing.assert_allclose(found.geometry.to_world([corner])[0], expected, atol=2e-4)


class TestAsItk:
    @pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i2", "u2", "i4", ">u4", "i8", "<f4", ">f4", "f8"])
    @pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
    def test_kinds_of_numbers(self, tmp_path, dtype, name):
        path = save(tmp_path / name, volume(dtype))
        assert_as_itk(path, read_image(path))
        assert read_image(path).array.dtype.isnative

    @pytest.mark.parametrize("qform_code", [0, 1, 2, 4])
    @pytest.mark.parametrize("sform_code", [0, 1, 2, 4])
    @pytest.mark.parametrize("other", ["same", "turned", "sheared"])
    def test_of_two_transforms_the_same_one_is_taken(self, tmp_path, qform_code, sform_code, other):
        sform = affine(1 if other == "turned" else 0, shear=0.3 if other == "sheared" else 0)
        codes = (qform_code, sform_code)
        path = save(tmp_path / "a.nii", volume(), qform=affine(), sform=sform, codes=codes)
        if other == "sheared" and qform_code == 0 and sform_code:
            with pytest.raises(InputError, match=r"a\.nii: has axes that are not at right angles"):
                read_image(path)
        else:
            assert_as_itk(path, read_image(path))

    @pytest.mark.parametrize("codes", [(1, 0), (0, 1)])
    def test_mirrored_axes(self, tmp_path, codes):
        turned = affine(3, mirrored=True)
        path = save(tmp_path / "a.nii", volume(), qform=turned, sform=turned, codes=codes)
        assert np.linalg.det(read_geometry(path).direction) < 0
        assert_as_itk(path, read_image(path))

    @pytest.mark.parametrize(("unit", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 0.001)])
    def test_units_of_length(self, tmp_path, unit, factor):
        path = save(tmp_path / "a.nii", volume(), xyzt_units=unit)
        found = read_image(path)
        assert found.geometry.spacing == pytest.approx(tuple(factor * step for step in SPACING[::-1]))
        assert found.geometry.origin == pytest.approx((30 * factor, 20 * factor, -10 * factor))
        if factor <= 1:
            assert_as_itk(path, found)

    @pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
    @pytest.mark.parametrize("scaling", [(1, 0), (2, 0), (0.1, -3), (-1, 2), (1, 7), (np.nan, 0)])
    def test_scaled_values(self, tmp_path, dtype, scaling):
        path = save(tmp_path / "a.nii", volume(dtype), scl_slope=scaling[0], scl_inter=scaling[1])
        assert_as_itk(path, read_image(path))

    @pytest.mark.parametrize("shape", [(5, 6, 7, 1), (5, 6, 7, 1, 1)])
    def test_axes_of_one_behind_the_third(self, tmp_path, shape):
        path = save(tmp_path / "a.nii", volume(shape=shape))
        np.testing.assert_array_equal(read_image(path).array, volume(shape=shape).reshape(SHAPE, order="F").T)

    def test_colours_become_luminance(self, tmp_path):
        colours = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), dtype=np.uint8)
        kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
        path = tmp_path / "a.nii.gz"
        nibabel.save(nibabel.Nifti1Image(colours.view(kind)[..., 0], affine()), path)
        found = read_image(path).array
        assert abs(found.astype(float) - (colours @ [0.2125, 0.7154, 0.0721]).T).max() <= 0.51

    @pytest.mark.parametrize(("count", "dtype"), [(2, "f4"), (3, "f4"), (3, "i2"), (4, "u2"), (5, "u1")])
    def test_vectors_are_refused(self, tmp_path, count, dtype):
        image = sitk.GetImageFromArray(np.ones((9, 8, count), dtype), isVector=True)
        sitk.WriteImage(image, str(tmp_path / "a.nii"))
        with pytest.raises(InputError, match=f"holds {count} values in every pixel that are no colours"):
            read_image(tmp_path / "a.nii")

    def test_vectors_of_bytes_are_colours(self, tmp_path):
        image = sitk.GetImageFromArray(np.full((9, 8, 3), 7, np.uint8), isVector=True)
        sitk.WriteImage(image, str(tmp_path / "a.nii"))
        np.testing.assert_array_equal(read_image(tmp_path / "a.nii").array, np.full((9, 8), 7))


def test_the_second_version_is_read_too(tmp_path):
    nibabel.save(nibabel.Nifti2Image(volume(), affine()), tmp_path / "a.nii.gz")
    first = read_image(save(tmp_path / "b.nii", volume()))
    second = read_image(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(second.array, first.array)
    corners = [[0, 0, 0], [6, 5, 4]]
    np.testing.assert_allclose(second.geometry.to_world(corners), first.geometry.to_world(corners), atol=1e-4)


class TestHostileFiles:
    def test_a_small_file_that_asks_for_much_memory(self, tmp_path):
        path = save(tmp_path / "a.nii.gz", volume("u1"))
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[42:48] = np.array([700, 700, 700], "<i2").tobytes()
        path.write_bytes(gzip.compress(bytes(content)))
        with pytest.raises(InputError, match="ends too early"):
            read_image(path)

    def test_a_wrong_sum_at_the_end(self, tmp_path):
        path = save(tmp_path / "a.nii.gz", volume())
        content = bytearray(path.read_bytes())
        content[-8] ^= 255
        path.write_bytes(content)
        with pytest.raises(InputError, match="ends too early, it seems damaged"):
            read_image(path)

    @pytest.mark.parametrize("mark", [b"ni1\0", b"\0\0\0\0", b"n+2\0"])
    def test_pixels_in_another_file(self, tmp_path, mark):
        path = save(tmp_path / "a.nii", volume())
        content = bytearray(path.read_bytes())
        content[344:348] = mark
        path.write_bytes(content)
        with pytest.raises(InputError, match="is not an image of the kind"):
            read_image(path)

    def test_transforms_of_nan(self, tmp_path):
        path = save(tmp_path / "a.nii", volume(), codes=(1, 0), quatern_b=np.nan)
        with pytest.raises(InputError, match=r"a\.nii: has an orientation that is not finite"):
            read_image(path)


_READ_AT_ONCE = """
import sys, threading
from pathlib import Path
from napari_landmark.data.images.image import read_geometry
from napari_landmark.data.images.nifti import check_nifti_header

path, gate, errors = Path(sys.argv[1]), threading.Barrier(8), []

def read(function):
    gate.wait()
    try:
        function(path)
    except Exception as error:
        errors.append(repr(error))

threads = [threading.Thread(target=read, args=[(read_geometry, check_nifti_header)[k % 2]]) for k in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit("\\n".join(errors) or 0)
"""


def test_the_first_files_of_a_program_are_read_by_many_threads(tmp_path):
    """Modules of nibabel import each other in circles: a second thread must not see them half made."""
    path = save(tmp_path / "volume.nii", volume(), sform=affine())
    for _ in range(3):
        run = subprocess.run([sys.executable, "-c", _READ_AT_ONCE, path], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
