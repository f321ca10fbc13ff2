from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import tifffile
from PIL import Image

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.data.images.image import MedicalImage, looks_like_image, read_geometry, read_image

SHARED = Path(__file__).parents[3].parent / "shared/data"
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 250, (32, 24), dtype=np.uint8)
COLOUR = RNG.integers(0, 250, (32, 24, 3), dtype=np.uint8)
VOLUME = RNG.integers(-900, 900, (6, 30, 40)).astype(np.int16)


def luminance(rgb: np.ndarray) -> np.ndarray:
    return rgb[..., :3] @ [0.2125, 0.7154, 0.0721]


def save_itk(path: Path, array: np.ndarray, spacing=None, **keywords) -> Path:
    image = sitk.GetImageFromArray(array, **keywords)
    if spacing:
        image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))
    return path


def save_dicom(path: Path, array: np.ndarray, **tags) -> Path:
    """A projection image as an X-ray machine writes it, with just these tags about its spacing."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    data = pydicom.Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality = "CR"
    data.Rows, data.Columns = array.shape[-2:]
    if array.ndim == 3:
        data.NumberOfFrames = len(array)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = array.astype("<u2").tobytes()
    for tag, value in tags.items():
        setattr(data, tag, value)
    data.save_as(path, enforce_file_format=True)
    return path


class TestPictures:
    @pytest.mark.parametrize("name", ["a.png", "a.bmp", "A.TIF", "a.gif"])
    def test_grey_is_read_as_it_is(self, tmp_path, name):
        Image.fromarray(GREY).save(tmp_path / name)
        image = read_image(tmp_path / name)
        np.testing.assert_array_equal(image.array, GREY)
        assert image.array.dtype == np.uint8
        assert image.name == name

    def test_dots_per_inch_are_no_spacing(self, tmp_path):
        Image.fromarray(GREY).save(tmp_path / "a.png", dpi=(96, 96))
        geometry = read_image(tmp_path / "a.png").geometry
        assert geometry.spacing is None
        assert geometry.spacing_source is SpacingSource.UNKNOWN

    def test_spacing_by_the_user(self, tmp_path):
        Image.fromarray(GREY).save(tmp_path / "a.png")
        geometry = read_image(tmp_path / "a.png", spacing=0.1).geometry
        assert geometry.spacing == (0.1, 0.1)
        assert geometry.spacing_source is SpacingSource.USER
        with pytest.raises(InputError, match=r"a\.png: a spacing"):
            read_image(tmp_path / "a.png", spacing=-1)

    @pytest.mark.parametrize("alpha", [False, True])
    def test_colours_become_luminance(self, tmp_path, alpha):
        pixels = np.dstack([COLOUR, GREY]) if alpha else COLOUR
        Image.fromarray(pixels).save(tmp_path / "a.png")
        array = read_image(tmp_path / "a.png").array
        assert array.dtype == np.uint8
        assert abs(array - luminance(COLOUR)).max() <= 0.51

    def test_grey_stored_as_colours_stays_exact(self, tmp_path):
        Image.fromarray(np.dstack([GREY] * 3)).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_image(tmp_path / "a.png").array, GREY)

    @pytest.mark.parametrize("channels", [3, 4])
    def test_png_of_sixteen_bits_keeps_them(self, tmp_path, channels):
        samples = RNG.integers(0, 2**16, (30, 20, channels)).astype(np.uint16)
        save_itk(tmp_path / "a.png", samples, isVector=True)
        found = read_image(tmp_path / "a.png").array
        assert found.dtype == np.uint16
        assert abs(found - luminance(samples)).max() <= 0.51

    def test_png_of_sixteen_bits_with_alpha_would_lose_them(self, tmp_path):
        path = save_itk(tmp_path / "a.png", np.zeros((30, 20, 2), np.uint16), isVector=True)
        for read in (read_geometry, read_image):
            with pytest.raises(InputError, match=r"a\.png: holds greys of 16 bits with transparency"):
                read(path)

    def test_a_damaged_png_of_sixteen_bits(self, tmp_path, capfd):
        samples = RNG.integers(0, 2**16, (30, 20, 3)).astype(np.uint16)
        path = save_itk(tmp_path / "a.png", samples, isVector=True)
        path.write_bytes(path.read_bytes()[:900])
        with pytest.raises(InputError, match=r"a\.png: cannot be read, it seems damaged"):
            read_image(path)
        assert capfd.readouterr() == ("", "")

    def test_palette(self, tmp_path):
        picture = Image.fromarray(COLOUR).quantize(64)
        picture.save(tmp_path / "a.png")
        expected = luminance(np.asarray(picture.convert("RGB")))
        assert abs(read_image(tmp_path / "a.png").array - expected).max() <= 0.51

    def test_printers_colours(self, tmp_path):
        smooth = np.dstack([np.tile(np.arange(0, 240, 5, dtype=np.uint8), (40, 1))] * 3)
        Image.fromarray(smooth).convert("CMYK").save(tmp_path / "a.jpg", quality=98)
        assert abs(read_image(tmp_path / "a.jpg").array.astype(float) - smooth[..., 0]).max() < 8

    def test_single_bits(self, tmp_path):
        Image.fromarray(GREY > 100).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_image(tmp_path / "a.png").array, np.where(GREY > 100, 255, 0))

    @pytest.mark.parametrize(
        ("dtype", "factor"),
        [
            ("uint16", 250),
            (">u2", 250),
            ("int16", -100),
            ("uint32", 2**24),
            ("float32", 0.1),
            ("float64", 0.1),
        ],
    )
    def test_tiff_of_other_numbers(self, tmp_path, dtype, factor):
        array = (GREY * np.float64(factor)).astype(dtype)
        tifffile.imwrite(tmp_path / "a.tif", array, byteorder=">" if dtype == ">u2" else "<")
        image = read_image(tmp_path / "a.tif")
        np.testing.assert_array_equal(image.array, array)
        assert image.array.dtype.isnative

    @pytest.mark.parametrize("dtype", ["uint16", "uint32", "float32"])
    def test_tiff_of_deep_colours(self, tmp_path, dtype):
        array = (COLOUR * 250.0).astype(dtype)
        tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb")
        found = read_image(tmp_path / "a.tif").array.astype(float)
        expected = luminance(array)
        np.testing.assert_allclose(found / found.max(), expected / expected.max(), atol=0.02)

    def test_pages_of_a_tiff_are_a_volume(self, tmp_path):
        pages = np.stack([GREY, GREY // 2, GREY // 3])
        tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").array, pages)
        assert read_geometry(tmp_path / "a.tif") == Geometry((3, 32, 24))

    def test_exif_turning_is_left_aside(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(GREY).save(tmp_path / "a.jpg", exif=exif)
        assert read_image(tmp_path / "a.jpg").array.shape == GREY.shape

    def test_long_and_thin(self, tmp_path):
        Image.fromarray(np.zeros((4, 4000), np.uint8)).save(tmp_path / "a.png")
        assert read_image(tmp_path / "a.png").array.shape == (4, 4000)


class TestVolumes:
    @pytest.mark.parametrize("name", ["v.nii", "v.nii.gz", "v.nrrd", "v.mha", "v.mhd"])
    def test_geometry_is_in_array_order(self, tmp_path, name):
        volume = sitk.GetImageFromArray(VOLUME)
        volume.SetSpacing((0.5, 0.6, 2.0))
        volume.SetOrigin((10, 20, 30))
        volume.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
        sitk.WriteImage(volume, str(tmp_path / name))
        image = read_image(tmp_path / name)
        np.testing.assert_array_equal(image.array, VOLUME)
        assert image.geometry.spacing_source is SpacingSource.FILE
        for index in ((0, 0, 0), (5, 3, 7)):
            expected = volume.TransformIndexToPhysicalPoint(index[::-1])[::-1]
            np.testing.assert_allclose(image.geometry.to_world([index])[0], expected, atol=1e-4)
        assert read_geometry(tmp_path / name) == image.geometry

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_a_single_slice_is_a_picture(self, tmp_path, axis):
        kept = [i for i in range(3) if i != axis]
        array = VOLUME.take([2], axis)
        image = read_image(save_itk(tmp_path / "s.nii.gz", array, spacing=(0.5, 0.75, 2.0)))
        np.testing.assert_array_equal(image.array, array.squeeze(axis))
        assert image.geometry.spacing == tuple((2.0, 0.75, 0.5)[i] for i in kept)

    def test_a_series_is_refused_unless_it_is_one_volume(self, tmp_path):
        volume = sitk.GetImageFromArray(VOLUME)
        sitk.WriteImage(sitk.JoinSeries([volume]), str(tmp_path / "one.nii"))
        sitk.WriteImage(sitk.JoinSeries([volume, volume]), str(tmp_path / "two.nii"))
        np.testing.assert_array_equal(read_image(tmp_path / "one.nii").array, VOLUME)
        with pytest.raises(InputError, match=r"two\.nii: is a series of volumes \(40 x 30 x 6 x 2\)"):
            read_image(tmp_path / "two.nii")

    def test_colours_become_luminance(self, tmp_path):
        array = read_image(save_itk(tmp_path / "c.mha", COLOUR, isVector=True)).array
        assert array.dtype == np.uint8
        assert abs(array - luminance(COLOUR)).max() <= 0.51

    @pytest.mark.parametrize("kind", ["vectors", "complex"])
    def test_other_pixels_are_refused(self, tmp_path, kind):
        array = RNG.random((20, 20, 2)) if kind == "vectors" else RNG.random((20, 20)) * 1j
        with pytest.raises(InputError, match=r"v\.nrrd: holds"):
            read_image(save_itk(tmp_path / "v.nrrd", array, isVector=kind == "vectors"))

    def test_values_that_are_not_finite(self, tmp_path, caplog):
        array = RNG.random((20, 20))
        array[3, 4], array[5, 6] = np.nan, -np.inf
        with caplog.at_level(logging.WARNING):
            found = read_image(save_itk(tmp_path / "n.nrrd", array)).array
        assert np.isfinite(found).all()
        assert found[3, 4] == found[5, 6] == array[np.isfinite(array)].min()
        assert "n.nrrd: 2 values" in caplog.text
        with pytest.raises(InputError, match="no finite value"):
            read_image(save_itk(tmp_path / "n.nrrd", np.full((9, 9), np.nan)))

    def test_a_spacing_that_itk_made_up_is_unknown(self, tmp_path):
        (tmp_path / "a.nrrd").write_bytes(
            b"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 24 32\nencoding: raw\n\n" + GREY.tobytes()
        )
        image = read_image(tmp_path / "a.nrrd")
        np.testing.assert_array_equal(image.array, GREY)
        assert image.geometry.spacing is None


class TestDicom:
    array = RNG.integers(0, 4000, (30, 40)).astype(np.uint16)

    @pytest.mark.parametrize(
        ("tags", "expected"),
        [
            ({}, None),
            ({"PixelSpacing": [0.3, 0.2]}, (0.3, 0.2)),
            ({"ImagerPixelSpacing": [0.15, 0.1]}, (0.15, 0.1)),
            ({"ImagerPixelSpacing": [0.15, 0.1], "PixelSpacing": [0.3, 0.2]}, (0.3, 0.2)),
            ({"ImagerPixelSpacing": [0.3, 0.6], "EstimatedRadiographicMagnificationFactor": 1.5}, (0.2, 0.4)),
            ({"NominalScannedPixelSpacing": [0.1, 0.1]}, (0.1, 0.1)),
            ({"PixelSpacing": [0, 0]}, None),
        ],
    )
    def test_spacing_is_what_the_file_says(self, tmp_path, tags, expected):
        image = read_image(save_dicom(tmp_path / "a.dcm", self.array, **tags))
        np.testing.assert_array_equal(image.array, self.array)
        assert image.geometry.spacing == (None if expected is None else pytest.approx(expected))
        assert read_geometry(tmp_path / "a.dcm") == image.geometry

    def test_frames_are_a_volume(self, tmp_path):
        frames = np.stack([self.array, self.array // 2])
        tags = {"PixelSpacing": [0.3, 0.2], "SpacingBetweenSlices": 1.5}
        image = read_image(save_dicom(tmp_path / "a.dcm", frames, **tags))
        np.testing.assert_array_equal(image.array, frames)
        assert image.geometry.spacing == pytest.approx((1.5, 0.3, 0.2))

    def test_known_by_content_whatever_its_name(self, tmp_path):
        path = save_dicom(tmp_path / "1.2.840.77", self.array)
        assert looks_like_image(path)
        np.testing.assert_array_equal(read_image(path).array, self.array)


class TestRefusals:
    @pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "gif", "tif"])
    def test_damaged_pictures(self, tmp_path, ending):
        path = tmp_path / f"bad.{ending}"
        Image.fromarray(np.tile(GREY, (9, 9))).save(path)
        content = path.read_bytes()
        for damaged in (content[: len(content) // 2], b"hello" * 40, b""):
            path.write_bytes(damaged)
            with pytest.raises(InputError, match=rf"bad\.{ending}: .*save it again or remove it") as caught:
                read_image(path)
            assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("ending", ["nii", "nii.gz", "nrrd", "mha", "dcm"])
    def test_damaged_volumes_leave_the_terminal_clean(self, tmp_path, capfd, ending):
        path = tmp_path / f"bad.{ending}"
        save_dicom(path, VOLUME[0].clip(0)) if ending == "dcm" else save_itk(path, VOLUME)
        content = path.read_bytes()
        for damaged in (content[: len(content) // 2], b"hello" * 100, b""):
            path.write_bytes(damaged)
            with pytest.raises(InputError, match=rf"bad\.{ending}: .*save it again or remove it") as caught:
                read_image(path)
            assert "\n" not in str(caught.value)
        assert capfd.readouterr() == ("", "")

    def test_animations(self, tmp_path):
        frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1])]
        frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
        with pytest.raises(InputError, match=r"a\.gif: is an animation of 2 pictures"):
            read_image(tmp_path / "a.gif")

    def test_pages_of_different_size(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            writer.write(GREY)
            writer.write(GREY[:8])
        with pytest.raises(InputError, match=r"a\.tif: holds 2 pages of different size"):
            read_image(tmp_path / "a.tif")

    def test_tiny_pictures(self, tmp_path):
        Image.fromarray(GREY[:1, :1]).save(tmp_path / "a.png")
        with pytest.raises(InputError, match=r"a\.png: is only 1 x 1 pixels"):
            read_image(tmp_path / "a.png")

    def test_no_image_at_all(self, tmp_path):
        (tmp_path / "a.txt").write_text("hello")
        with pytest.raises(InputError, match=r"a\.txt: is not an image of a kind"):
            read_image(tmp_path / "a.txt")
        with pytest.raises(InputError, match=r"gone\.png: there is no such file"):
            read_image(tmp_path / "gone.png")
        with pytest.raises(InputError, match="is a folder"):
            read_image(tmp_path)

    def test_array_and_geometry_must_agree(self):
        with pytest.raises(ValueError, match="geometry"):
            MedicalImage(GREY, Geometry((3, 3)), "a")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared images")
class TestSharedData:
    def test_cephalogram(self):
        image = read_image(SHARED / "cephalograms/images/001.jpg")
        assert image.array.shape == (1200, 968)
        assert not image.geometry.has_spacing

    def test_volume_axes(self):
        path = next((SHARED / "mouse_ct/images").glob("*.nii.gz"))
        image = read_image(path)
        assert image.geometry.ndim == 3
        assert image.geometry.mean_spacing == pytest.approx(0.141, abs=0.002)
