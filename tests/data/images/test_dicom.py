"""Pixels of DICOM files: kinds, colours, and those that are compressed."""

from __future__ import annotations

import base64
import io

import numpy as np
import pydicom
import pytest
from PIL import Image

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import read_image

from .dicom_files import SLOPE, save

# SLOPE as JPEG-LS without loss: nothing that the tests may use can write that.
JPEG_LS = (
    "/9j/9wALDAAQABQBAREA/9oACAEBAAAAAJ3d3d1c3d1c3FvbWtpZ2VjYV9dCI8Ozo5ODc2NTQzMjEwLy4tLCs8BEVFJQTkxKSEZEQkD989eO3Tk7"
    "EFy4bt2zZq1aNGbNkyZMWLE6EBgwYMF69evXLnnXXXHHGzk/tttNNNNMsssssMMMMMHB+YXXXXXXXWWWWWWVVVVNz6qqq1jGMYxjGMYxazY+LWta"
    "1rWtalKUpSlGp7UpSlKUpSlMyqqqaHpVVVVVVVVVVVUzPKqqqqqqoiJJIyPCSSSSSSSSRid0kkkkqqqYHZVVVVVUvOqqv/64/9k="
)


class TestPixels:
    def test_black_is_always_dark(self, tmp_path):
        """MONOCHROME1 counts from white: it is turned, so that bone is bright in every file."""
        inverted = save(tmp_path / "a.dcm", 4095 - SLOPE, PhotometricInterpretation="MONOCHROME1")
        found = read_image(inverted).array.astype(int)
        assert (np.diff(found, axis=0) == 130).all()
        assert (np.diff(found, axis=1) == 60).all()

    def test_rescaled_values(self, tmp_path):
        path = save(tmp_path / "a.dcm", SLOPE, RescaleSlope=2, RescaleIntercept=-1024, Modality="CT")
        np.testing.assert_array_equal(read_image(path).array, SLOPE.astype(int) * 2 - 1024)

    def test_colours_become_luminance(self, tmp_path):
        rgb = np.random.default_rng(0).integers(0, 255, (16, 20, 3), dtype=np.uint8)
        found = read_image(save(tmp_path / "a.dcm", rgb)).array
        assert abs(found - rgb @ [0.2125, 0.7154, 0.0721]).max() <= 0.51

    def test_a_palette(self, tmp_path):
        index = (SLOPE // 26).astype(np.uint8)
        grey = (np.arange(256) * 256).astype("<u2").tobytes()  # every index is its own grey
        tags = {"PhotometricInterpretation": "PALETTE COLOR"}
        for colour in ("Red", "Green", "Blue"):
            tags[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
            tags[f"{colour}PaletteColorLookupTableData"] = grey
        found = read_image(save(tmp_path / "a.dcm", index, **tags)).array.astype(float)
        scale = found.max() / index.max()
        np.testing.assert_allclose(found, index * scale, atol=scale)

    def test_a_film_is_no_volume(self, tmp_path):
        path = tmp_path / "a.dcm"
        save(path, SLOPE, NumberOfFrames=2, PixelData=SLOPE.tobytes() * 2, FrameTime=33, Modality="XA")
        with pytest.raises(InputError, match=r"a\.dcm: is a film of 2 pictures"):
            read_image(path)


def packed(kind: str) -> tuple[np.ndarray, str, bytes, float]:
    """Pixels, transfer syntax, packed pixels, largest difference allowed."""
    eight = (SLOPE // 13).astype(np.uint8)
    stream = io.BytesIO()
    if kind == "JPEG":
        Image.fromarray(eight).save(stream, "JPEG", quality=95)
        return eight, pydicom.uid.JPEGBaseline8Bit, stream.getvalue(), 3
    if kind == "JPEG 2000":
        Image.fromarray(SLOPE).save(stream, "JPEG2000", no_jp2=True, irreversible=False)
        return SLOPE, pydicom.uid.JPEG2000Lossless, stream.getvalue(), 0
    return SLOPE, pydicom.uid.JPEGLSLossless, base64.b64decode(JPEG_LS), 0


class TestCompressed:
    @pytest.mark.parametrize("kind", ["JPEG", "JPEG 2000", "JPEG-LS"])
    def test_pixels_are_those_that_were_packed(self, tmp_path, kind):
        array, syntax, frames, tolerance = packed(kind)
        image = read_image(save(tmp_path / "a.dcm", array, syntax=syntax, frames=frames, PixelSpacing=[2, 3]))
        assert abs(image.array.astype(int) - array).max() <= tolerance
        assert image.geometry.spacing == (2, 3)

    def test_run_lengths(self, tmp_path):
        path = save(tmp_path / "a.dcm", SLOPE)
        data = pydicom.dcmread(path)
        data.compress(pydicom.uid.RLELossless, encoding_plugin="pydicom")
        data.save_as(path)
        np.testing.assert_array_equal(read_image(path).array, SLOPE)

    @pytest.mark.parametrize("kind", ["JPEG", "JPEG 2000", "JPEG-LS"])
    def test_cut_off(self, tmp_path, kind, capfd):
        array, syntax, frames, _ = packed(kind)
        path = save(tmp_path / "a.dcm", array, syntax=syntax, frames=frames[: len(frames) // 3])
        try:
            found = read_image(path).array
        except InputError as error:
            assert str(path) in str(error)
        else:
            assert found.shape == array.shape

    def test_an_unknown_packing(self, tmp_path):
        path = save(tmp_path / "a.dcm", SLOPE, syntax=pydicom.uid.MPEG2MPML, frames=b"\0" * 100)
        with pytest.raises(InputError, match=r"a\.dcm: "):
            read_image(path)
