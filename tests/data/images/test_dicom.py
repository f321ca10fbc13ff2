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


def stored(path, bits: int, syntax: str, *, colours: bool, planes: bool) -> np.ndarray:
    """A file of numbers of so many bits, and its luminance."""
    kind = np.dtype(f"u{bits // 8}")
    array = (np.add.outer(np.arange(16), np.arange(20)) * (2**bits // 40)).astype(kind)
    if colours:
        array = np.stack([array, array // 2, array // 4], axis=-1)
    packed = np.moveaxis(array, -1, 0) if planes else array
    order = ">" if syntax == pydicom.uid.ExplicitVRBigEndian else "<"
    save(path, array)
    data = pydicom.dcmread(path)
    data.BitsStored, data.HighBit, data.PixelData = (
        bits,
        bits - 1,
        packed.astype(kind.newbyteorder(order)).tobytes(),
    )
    data["PixelData"].VR = "OW" if bits > 8 else "OB"
    if colours:
        data.PlanarConfiguration = int(planes)
    if syntax == pydicom.uid.RLELossless:
        data.compress(syntax, arr=array, encoding_plugin="pydicom")
        data.save_as(path)
    else:
        data.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(path, data, implicit_vr=False, little_endian=order == "<", force_encoding=True)
    return array @ [0.2125, 0.7154, 0.0721] if colours else array.astype(float)


SAMPLES = [
    (bits, colours, planes, syntax)
    for bits in (8, 16, 32)
    for colours, planes in ((False, False), (True, False), (True, True))
    for syntax in ("ExplicitVRLittleEndian", "ExplicitVRBigEndian", "RLELossless")
    if syntax != "RLELossless" or (bits < 32 and not planes)  # pydicom writes no others
]


@pytest.mark.parametrize(("bits", "colours", "planes", "syntax"), SAMPLES)
def test_samples_are_right_or_refused(tmp_path, bits, colours, planes, syntax):
    uid = getattr(pydicom.uid, syntax)
    expected = stored(tmp_path / "a.dcm", bits, uid, colours=colours, planes=planes)
    refused = (
        (syntax == "RLELossless" and colours and bits > 8)
        or (syntax == "ExplicitVRBigEndian" and bits == 32)
        or (planes and bits == 32)
    )
    if refused:
        with pytest.raises(InputError, match=r"a\.dcm: holds .* which is not read here"):
            read_image(tmp_path / "a.dcm")
    else:
        found = read_image(tmp_path / "a.dcm").array
        np.testing.assert_allclose(found, expected, atol=0.51, rtol=1e-6)


def test_without_pixels(tmp_path):
    path = save(tmp_path / "a.dcm", SLOPE)
    data = pydicom.dcmread(path)
    del data.PixelData
    data.save_as(path)
    with pytest.raises(InputError, match=r"a\.dcm: ends before its pixels, it seems damaged"):
        read_image(path)
    del data.Rows
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = pydicom.uid.BasicTextSRStorage
    data.save_as(path)
    with pytest.raises(InputError, match=r"a\.dcm: holds no pixels \(Basic Text SR Storage\): move it"):
        read_image(path)
