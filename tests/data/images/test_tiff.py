"""TIFF by tifffile and, where only its libtiff unpacks the pixels, by Pillow: the same values either way."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import read_geometry, read_image

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 250, (32, 24), dtype=np.uint8)
COLOUR = RNG.integers(0, 250, (32, 24, 3), dtype=np.uint8)
PAGES = np.stack([GREY, 255 - GREY, GREY // 2])
WEIGHTS = [0.2125, 0.7154, 0.0721]


def write(folder: Path, array: np.ndarray, **options) -> Path:
    tifffile.imwrite(folder / "a.tif", array, **options)
    return folder / "a.tif"


def write_pillow(folder: Path, array: np.ndarray, mode: str, **options) -> Path:
    picture = Image.fromarray(array)
    picture = picture.quantize(60) if mode == "P" else picture.convert(mode)
    picture.save(folder / "a.tif", **options)
    return folder / "a.tif"


class TestValuesAsStored:
    @pytest.mark.parametrize(
        "dtype", ["u1", "i1", "u2", ">u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", ">f4", "f8"]
    )
    @pytest.mark.parametrize("compression", [None, "zlib"])
    def test_numbers(self, tmp_path, dtype, compression):
        array = (GREY // 2).astype(dtype) - (100 if np.dtype(dtype).kind in "if" else 0)
        order = ">" if dtype[0] == ">" else "<"
        found = read_image(write(tmp_path, array, compression=compression, byteorder=order)).array
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype.newbyteorder("=")

    @pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
    @pytest.mark.parametrize("planes", ["contig", "separate"])
    def test_colours_keep_their_depth(self, tmp_path, dtype, planes):
        array = (COLOUR * 200.0 if dtype == "u2" else COLOUR).astype(dtype)
        stored = np.moveaxis(array, -1, 0) if planes == "separate" else array
        found = read_image(write(tmp_path, stored, photometric="rgb", planarconfig=planes)).array
        assert found.dtype == dtype
        np.testing.assert_allclose(found, array @ WEIGHTS, atol=0.51)

    @pytest.mark.parametrize("options", [{"tile": (16, 16)}, {"rowsperstrip": 5}, {"bigtiff": True}])
    def test_layouts(self, tmp_path, options):
        np.testing.assert_array_equal(read_image(write(tmp_path, GREY, **options)).array, GREY)


class TestWhiteIsZero:
    @pytest.mark.parametrize("dtype", ["u1", "i1", "u2", ">u2", "i2", "u4", "i4", "f4", "f8"])
    @pytest.mark.parametrize("compression", [None, "zlib"])
    def test_black_is_dark_in_every_type(self, tmp_path, dtype, compression):
        array = (GREY // 2).astype(dtype)
        order = ">" if dtype[0] == ">" else "<"
        options = {"photometric": "miniswhite", "compression": compression, "byteorder": order}
        found = read_image(write(tmp_path, array, **options)).array
        assert found.dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(
            np.diff(found.astype(float), axis=1), -np.diff(array.astype(float), axis=1)
        )

    @pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
    def test_packed_in_a_way_that_pillow_reads(self, tmp_path, dtype):
        array = GREY.astype(dtype)
        Image.fromarray(array).save(tmp_path / "a.tif", compression="tiff_lzw")
        content = bytearray((tmp_path / "a.tif").read_bytes())
        place = content.index(struct.pack("<HHIH", 262, 3, 1, 1))
        struct.pack_into("<HHIH", content, place, 262, 3, 1, 0)
        (tmp_path / "a.tif").write_bytes(content)
        found = read_image(tmp_path / "a.tif").array
        np.testing.assert_array_equal(
            np.diff(found.astype(float), axis=1), -np.diff(array.astype(float), axis=1)
        )


class TestSamplesOfAPixel:
    @pytest.mark.parametrize(("count", "dtype"), [(2, "u1"), (3, "u1"), (3, "f4"), (5, "u2")])
    @pytest.mark.parametrize("planes", ["contig", "separate"])
    def test_channels_are_refused(self, tmp_path, count, dtype, planes):
        array = np.zeros((32, 24, count) if planes == "contig" else (count, 32, 24), dtype)
        options = {
            "photometric": "minisblack",
            "planarconfig": planes,
            "extrasamples": ("unspecified",) * (count - 1),
        }
        path = write(tmp_path, array, metadata=None, **options)
        for read in (read_geometry, read_image):
            with pytest.raises(
                InputError, match=rf"a\.tif: holds {count} values in every pixel that are no colours"
            ):
                read(path)

    def test_alpha_is_dropped(self, tmp_path):
        array = np.dstack([GREY, 255 - GREY])
        path = write(
            tmp_path, array, photometric="minisblack", planarconfig="contig", extrasamples=("unassalpha",)
        )
        np.testing.assert_array_equal(read_image(path).array, GREY)


class TestPackedByOthers:
    @pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "raw"])
    @pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "CMYK", "LA"])
    def test_as_the_same_picture_in_png(self, tmp_path, compression, mode):
        path = write_pillow(tmp_path, COLOUR, mode, compression=compression)
        with Image.open(path) as picture:
            picture.convert("RGB" if mode in ("CMYK", "P") else mode).save(tmp_path / "a.png")
        expected = read_image(tmp_path / "a.png").array
        assert abs(read_image(path).array.astype(int) - expected).max() <= 1

    @pytest.mark.parametrize("compression", ["tiff_lzw", "group4"])
    def test_pages(self, tmp_path, compression):
        mode = "1" if compression == "group4" else "L"
        pictures = [Image.fromarray(page).convert(mode) for page in PAGES]
        path = tmp_path / "a.tif"
        pictures[0].save(path, save_all=True, append_images=pictures[1:], compression=compression)
        expected = np.stack([np.array(picture.convert("L")) for picture in pictures])
        np.testing.assert_array_equal(read_image(path).array, expected)

    def test_a_kind_that_nobody_reads(self, tmp_path):
        path = write(tmp_path, GREY.astype(np.float64))
        content = bytearray(path.read_bytes())
        tag = content.index(struct.pack("<HHII", 259, 3, 1, 1))
        struct.pack_into("<HHII", content, tag, 259, 3, 1, 5)  # says LZW
        path.write_bytes(content)
        with pytest.raises(
            InputError,
            match=r"a\.tif: is a TIFF of a kind that is not read here \(LZW, MINISBLACK, 64 bits\)",
        ):
            read_image(path)


class TestVolumes:
    @pytest.mark.parametrize("options", [{"photometric": "minisblack"}, {"ome": True}, {"imagej": True}])
    def test_pages_are_slices(self, tmp_path, options):
        options = {"metadata": {"axes": "ZYX"}, **options} if len(options) == 1 else options
        path = write(tmp_path, PAGES, **options)
        np.testing.assert_array_equal(read_image(path).array, PAGES)
        assert read_geometry(path).shape == PAGES.shape

    def test_slices_behind_one_directory(self, tmp_path):
        path = write(tmp_path, PAGES, imagej=True, metadata={"axes": "ZYX"}, truncate=True)
        np.testing.assert_array_equal(read_image(path).array, PAGES)

    @pytest.mark.parametrize(("axes", "kind"), [("CYX", "3 channels"), ("TYX", "3 moments in time")])
    def test_channels_and_times_are_not(self, tmp_path, axes, kind):
        with pytest.raises(InputError, match=f"holds {kind}"):
            read_image(write(tmp_path, PAGES, ome=True, metadata={"axes": axes}))

    def test_notes_that_name_another_file_do_not_open_it(self, tmp_path):
        (tmp_path / "other").mkdir()
        write(tmp_path / "other", np.full((32, 24), 77, np.uint8))
        xml = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
            'DimensionOrder="XYZCT" Type="uint8" SizeX="24" SizeY="32" SizeZ="2" SizeC="1" SizeT="1">'
            '<TiffData FirstZ="0" IFD="0"><UUID FileName="a.tif">urn:uuid:1</UUID></TiffData>'
            '<TiffData FirstZ="1" IFD="0"><UUID FileName="other/a.tif">urn:uuid:2</UUID></TiffData>'
            "</Pixels></Image></OME>"
        )
        path = write(tmp_path, GREY, description=xml, metadata=None)
        try:
            found = read_image(path).array
        except InputError:
            return
        assert not (found == 77).all(axis=(-1, -2)).any()


class TestDamaged:
    def test_pixels_behind_the_end(self, tmp_path):
        path = write(tmp_path, np.tile(GREY, (20, 20)), rowsperstrip=64)
        content = path.read_bytes()
        path.write_bytes(content[:-5000])
        with pytest.raises(InputError, match=r"a\.tif: ends too early"):
            read_image(path)

    def test_a_strip_that_unpacks_to_more(self, tmp_path):
        path = write(tmp_path, np.zeros((4000, 4000), np.uint8), compression="zlib", rowsperstrip=4000)
        content = bytearray(path.read_bytes())
        for tag, value in ((257, 8), (278, 8)):  # eight rows, one strip
            place = next(
                at for kind in (3, 4) if (at := content.find(struct.pack("<HHI", tag, kind, 1))) >= 0
            )
            struct.pack_into("<HHII", content, place, tag, 4, 1, value)
        path.write_bytes(content)
        with pytest.raises(InputError, match="unpacks to more pixels"):
            read_image(path)

    def test_any_damage_is_one_line(self, tmp_path):
        whole = write(tmp_path, PAGES, photometric="minisblack", compression="zlib").read_bytes()
        rng = np.random.default_rng(0)
        for _ in range(150):
            content = bytearray(whole)
            for place in rng.integers(4, len(content), 3):
                content[place] = rng.integers(0, 256)
            (tmp_path / "a.tif").write_bytes(content)
            try:
                image = read_image(tmp_path / "a.tif")
            except InputError as error:
                assert "\n" not in str(error)
            else:
                assert image.array.shape == image.geometry.shape
