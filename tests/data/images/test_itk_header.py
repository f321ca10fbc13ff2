"""Headers of NRRD and MetaImage: the units of length, and what the values of a pixel are."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import read_geometry, read_image
from napari_landmark.data.images.vector_field import read_vectors

CORNER = [[1, 1, 1]]


def nrrd(more: str, *, sizes: str = "10 12 14", kind: str = "int16", count: int = 1680) -> bytes:
    axes = len(sizes.split())
    name = kind.replace("float32", "float")
    text = f"NRRD0005\ntype: {name}\ndimension: {axes}\nsizes: {sizes}\nendian: little\nencoding: raw\n{more}\n\n"
    return text.encode() + bytes(np.dtype(kind).itemsize * count)


def meta(more: str, *, kind: str = "MET_SHORT", bytes_of_pixel: int = 2) -> bytes:
    text = f"ObjectType = Image\nNDims = 3\n{more}DimSize = 10 12 14\nElementType = {kind}\nElementDataFile = LOCAL\n"
    return text.encode() + bytes(1680 * bytes_of_pixel)


SPACE = "space: left-posterior-superior\nspace directions: (20,0,0) (0,20,0) (0,0,30)\nspace origin: (1000,2000,3000)"


class TestUnits:
    @pytest.mark.parametrize(
        ("unit", "factor"), [("um", 1e-3), ("mm", 1), ("Millimeters", 1), ("cm", 10), ("m", 1000), ("", 1)]
    )
    def test_nrrd(self, tmp_path, unit, factor):
        path = tmp_path / "a.nrrd"
        path.write_bytes(nrrd(SPACE + f'\nspace units: "{unit}" "{unit}" "{unit}"'))
        expected = np.array([[3030, 2020, 1020]]) * factor
        np.testing.assert_allclose(read_geometry(path).to_world(CORNER), expected)
        assert read_image(path).geometry == read_geometry(path)

    def test_units_of_the_axes(self, tmp_path):
        (tmp_path / "a.nrrd").write_bytes(nrrd('spacings: 20 20 30\nunits: "um" "um" "um"'))
        assert read_geometry(tmp_path / "a.nrrd").spacing == pytest.approx((0.03, 0.02, 0.02))

    @pytest.mark.parametrize("units", ['"furlong" "furlong" "furlong"', '"mm" "mm" "um"'])
    def test_unknown_or_mixed(self, tmp_path, units):
        (tmp_path / "a.nrrd").write_bytes(nrrd(SPACE + f"\nspace units: {units}"))
        with pytest.raises(InputError, match=r"a\.nrrd: gives its distances in '.*': save it in millimetres"):
            read_image(tmp_path / "a.nrrd")

    @pytest.mark.parametrize(("unit", "factor"), [("um", 1e-3), ("mm", 1), ("cm", 10)])
    def test_metaimage(self, tmp_path, unit, factor):
        more = f"ElementSpacing = 20 20 30\nOffset = 1000 2000 3000\nDistanceUnits = {unit}\n"
        (tmp_path / "a.mha").write_bytes(meta(more))
        expected = np.array([[3030, 2020, 1020]]) * factor
        np.testing.assert_allclose(read_geometry(tmp_path / "a.mha").to_world(CORNER), expected)

    def test_a_displacement_field_in_other_units_is_refused(self, tmp_path):
        directions = SPACE.replace("directions: ", "directions: none ")
        more = directions + '\nkinds: vector domain domain domain\nspace units: "um" "um" "um"'
        (tmp_path / "a.nrrd").write_bytes(nrrd(more, sizes="3 10 12 14", kind="float32", count=3 * 1680))
        with pytest.raises(InputError, match=r"a\.nrrd: gives its distances in another unit"):
            read_vectors(tmp_path / "a.nrrd")


class TestSamplesOfAPixel:
    @pytest.mark.parametrize(
        ("kind", "dtype", "refused"),
        [
            ("list", "int16", True),
            ("list", "uint8", True),
            ("vector", "float32", True),
            ("covariant-vector", "float32", True),
            ("3-gradient", "float32", True),
            ("vector", "uint8", False),
            ("RGB-color", "uint16", False),
            ("3-color", "uint8", False),
        ],
    )
    def test_nrrd(self, tmp_path, capfd, kind, dtype, refused):
        more = f"kinds: {kind} domain domain domain"
        (tmp_path / "a.nrrd").write_bytes(nrrd(more, sizes="3 10 12 14", kind=dtype, count=3 * 1680))
        if not refused:
            assert read_image(tmp_path / "a.nrrd").array.shape == (14, 12, 10)
            return
        for read in (read_geometry, read_image):
            with pytest.raises(InputError, match=r"a\.nrrd: holds .*values .*that are no colours"):
                read(tmp_path / "a.nrrd")
        assert capfd.readouterr() == ("", "")

    def test_time_is_no_depth(self, tmp_path):
        (tmp_path / "a.nrrd").write_bytes(nrrd("spacings: 1 1 1.5\nkinds: domain domain time"))
        with pytest.raises(InputError, match=r"a\.nrrd: is a series of moments in time"):
            read_image(tmp_path / "a.nrrd")

    @pytest.mark.parametrize(("kind", "size"), [("MET_UCHAR", 1), ("MET_SHORT", 2), ("MET_FLOAT", 4)])
    def test_metaimage(self, tmp_path, kind, size):
        content = meta("ElementNumberOfChannels = 3\n", kind=kind, bytes_of_pixel=3 * size)
        (tmp_path / "a.mha").write_bytes(content)
        if size == 1:
            assert read_image(tmp_path / "a.mha").array.shape == (14, 12, 10)
            return
        with pytest.raises(InputError, match=r"a\.mha: holds 3 values in every pixel that are no colours"):
            read_image(tmp_path / "a.mha")
