"""Label maps keep their values, and other files are refused."""

from __future__ import annotations

import logging
import struct

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry, SpacingSource
from napari_landmark.registration.label_map import find_label_maps, read_label_map

GEOMETRY = Geometry((20, 30))
LABELS = np.zeros((20, 30), np.uint8)
LABELS[3:9, 4:12] = 1
LABELS[12:18, 20:28] = 5
VOLUME = np.zeros((4, 12, 10), np.int16)
VOLUME[1:3, 2:9, 3:8] = 300


def save_itk(path, array, **keywords):
    sitk.WriteImage(sitk.GetImageFromArray(array, **keywords), str(path))
    return path


class TestReads:
    @pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.nrrd", "a.mha", "a.nii", "a.nii.gz"])
    def test_values_are_kept(self, tmp_path, name):
        if name.endswith(("png", "bmp", "tif")):
            Image.fromarray(LABELS).save(tmp_path / name)
        else:
            save_itk(tmp_path / name, LABELS)
        labels = read_label_map(tmp_path / name, GEOMETRY)
        np.testing.assert_array_equal(labels, LABELS)
        assert labels.dtype == np.uint8

    def test_volumes_and_large_labels(self, tmp_path):
        labels = read_label_map(save_itk(tmp_path / "a.nrrd", VOLUME), Geometry(VOLUME.shape))
        np.testing.assert_array_equal(labels, VOLUME)
        assert labels.dtype == np.int32

    def test_a_mask_keeps_255(self, tmp_path):
        Image.fromarray(np.where(LABELS > 0, 255, 0).astype(np.uint8)).save(tmp_path / "a.png")
        assert set(np.unique(read_label_map(tmp_path / "a.png", GEOMETRY))) == {0, 255}

    def test_a_mask_of_bits(self, tmp_path):
        Image.fromarray(LABELS > 0).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_label_map(tmp_path / "a.png", GEOMETRY), LABELS > 0)

    def test_indices_of_a_palette(self, tmp_path):
        picture = Image.fromarray(LABELS, mode="P")
        picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 9, 9, 8, 8, 8, 0, 0, 255])
        picture.save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_label_map(tmp_path / "a.png", GEOMETRY), LABELS)

    @pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
    def test_indices_of_a_palette_in_a_picture_of_any_size(self, tmp_path, name, monkeypatch):
        """Pillow refuses to open pictures above twice its limit for those of the web."""
        picture = Image.fromarray(LABELS, mode="P")
        picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 9, 9, 8, 8, 8, 0, 0, 255])
        picture.save(tmp_path / name)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", LABELS.size // 3)
        np.testing.assert_array_equal(read_label_map(tmp_path / name, GEOMETRY), LABELS)

    @pytest.mark.parametrize("compression", [None, "tiff_lzw"])
    def test_white_is_zero_does_not_change_labels(self, tmp_path, compression):
        Image.fromarray(LABELS).save(tmp_path / "a.tif", compression=compression)
        content = bytearray((tmp_path / "a.tif").read_bytes())
        place = content.index(struct.pack("<HHIH", 262, 3, 1, 1))
        struct.pack_into("<HHIH", content, place, 262, 3, 1, 0)
        (tmp_path / "a.tif").write_bytes(content)
        np.testing.assert_array_equal(read_label_map(tmp_path / "a.tif", GEOMETRY), LABELS)

    def test_nifti_of_the_second_version(self, tmp_path):
        nibabel.save(nibabel.Nifti2Image(VOLUME.T, np.eye(4)), tmp_path / "a.nii")
        np.testing.assert_array_equal(read_label_map(tmp_path / "a.nii", Geometry(VOLUME.shape)), VOLUME)

    def test_greys_of_sixteen_bits_in_three_channels(self, tmp_path):
        labels = LABELS.astype(np.uint16) * 300
        save_itk(tmp_path / "a.png", np.repeat(labels[..., None], 3, axis=-1), isVector=True)
        np.testing.assert_array_equal(read_label_map(tmp_path / "a.png", GEOMETRY), labels)

    @pytest.mark.parametrize("channels", [3, 4])
    def test_greys_in_three_channels(self, tmp_path, channels):
        rgb = np.repeat(LABELS[..., None], channels, axis=-1)
        Image.fromarray(rgb).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_label_map(tmp_path / "a.png", GEOMETRY), LABELS)

    def test_whole_numbers_with_a_point(self, tmp_path):
        labels = read_label_map(save_itk(tmp_path / "a.nrrd", LABELS.astype(np.float32)), GEOMETRY)
        np.testing.assert_array_equal(labels, LABELS)
        assert labels.dtype == np.uint8

    def test_sixteen_bits(self, tmp_path):
        Image.fromarray(LABELS.astype(np.uint16) * 1000).save(tmp_path / "a.png")
        assert read_label_map(tmp_path / "a.png", GEOMETRY).max() == 5000

    def test_an_empty_map_is_warned_about(self, tmp_path, caplog):
        Image.fromarray(np.zeros_like(LABELS)).save(tmp_path / "a.png")
        assert not read_label_map(tmp_path / "a.png", GEOMETRY).any()
        assert "a.png: holds no label but 0" in caplog.text

    def test_another_position_is_warned_about(self, tmp_path, caplog):
        image = sitk.GetImageFromArray(LABELS)
        image.SetSpacing((0.5, 0.5))
        image.SetDirection((-1, 0, 0, 1))
        sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
        same = Geometry(
            (20, 30), spacing=(0.5, 0.5), direction=((1, 0), (0, -1)), spacing_source=SpacingSource.FILE
        )
        with caplog.at_level(logging.WARNING):
            read_label_map(tmp_path / "a.nrrd", same)
            assert not caplog.records
            read_label_map(tmp_path / "a.nrrd", Geometry((20, 30), (0.5, 0.5), spacing_source="file"))
        assert "another position in space" in caplog.text

    def test_slices_of_a_dicom_series(self, tmp_path):
        volume = np.zeros((3, 12, 10), np.uint16)
        volume[1:, 2:9, 3:8] = 4
        (tmp_path / "a").mkdir()
        for number, plane in enumerate(volume):
            image = sitk.GetImageFromArray(plane[None])
            for tag, value in (
                ("0008|0060", "CT"),
                ("0020|000e", "1.2.3"),
                ("0020|0013", str(number)),
                ("0020|0032", f"0\\0\\{number}"),
                ("0020|0037", "1\\0\\0\\0\\1\\0"),
            ):
                image.SetMetaData(tag, value)
            image.SetOrigin((0, 0, number))
            writer = sitk.ImageFileWriter()
            writer.KeepOriginalImageUIDOn()
            writer.SetFileName(str(tmp_path / "a" / f"{number}.dcm"))
            writer.Execute(image)
        np.testing.assert_array_equal(read_label_map(tmp_path / "a", Geometry(volume.shape)), volume)
        assert find_label_maps(tmp_path, ["a.nrrd"]) == {"a.nrrd": tmp_path / "a"}


class TestRefuses:
    def refused(self, path, message, geometry=GEOMETRY):
        with pytest.raises(InputError, match=message) as caught:
            read_label_map(path, geometry)
        assert str(path) in str(caught.value)

    def test_another_size(self, tmp_path):
        Image.fromarray(LABELS).save(tmp_path / "a.png")
        self.refused(tmp_path / "a.png", "has 30 x 20 pixels and its image 60 x 40", Geometry((40, 60)))
        self.refused(
            tmp_path / "a.png", "has 30 x 20 pixels and its image 60 x 40 x 4", Geometry((4, 40, 60))
        )

    def test_jpeg_whatever_it_is_called(self, tmp_path):
        for name in ("a.jpg", "a.png"):
            Image.fromarray(LABELS).save(tmp_path / name, format="JPEG")
            self.refused(tmp_path / name, "is a JPEG, which blurs")

    def test_colours(self, tmp_path):
        rgb = np.zeros((20, 30, 3), np.uint8)
        rgb[..., 0] = LABELS
        Image.fromarray(rgb).save(tmp_path / "a.png")
        self.refused(tmp_path / "a.png", "has colours, not labels")
        self.refused(save_itk(tmp_path / "a.nrrd", rgb, isVector=True), "has colours, not labels")

    def test_an_image(self, tmp_path):
        Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30)).save(tmp_path / "a.png")
        self.refused(tmp_path / "a.png", "holds 600 different values, a label map at most 64")

    def test_a_volume_may_have_the_structures_of_a_brain(self, tmp_path):
        labels = np.arange(4 * 6 * 10, dtype=np.int16).reshape(4, 6, 10) % 208
        path = save_itk(tmp_path / "a.nrrd", labels)
        np.testing.assert_array_equal(read_label_map(path, Geometry(labels.shape)), labels)
        values = np.arange(600, dtype=np.int16).reshape(6, 10, 10)
        with pytest.raises(InputError, match="holds 600 different values, a label map at most 512"):
            read_label_map(save_itk(tmp_path / "b.nrrd", values), Geometry(values.shape))

    def test_fractions_and_negative_numbers(self, tmp_path):
        self.refused(
            save_itk(tmp_path / "a.nrrd", LABELS * np.float32(0.5)), "values such as 0.5: labels are whole"
        )
        self.refused(save_itk(tmp_path / "b.nrrd", -LABELS.astype(np.int16)), "holds the label -5")
        self.refused(save_itk(tmp_path / "c.nrrd", LABELS * np.float64(1e10)), "holds the label 5e\\+10")

    @pytest.mark.parametrize("name", ["a.png", "a.nrrd", "a.nii.gz"])
    def test_a_damaged_file(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        self.refused(tmp_path / name, name)

    def test_nothing_there(self, tmp_path):
        self.refused(tmp_path / "a.png", "there is no such file")


class TestFinds:
    @pytest.fixture
    def folder(self, tmp_path):
        for name in ("a.png", "b.nii.gz", "c.v2.nrrd", "d.csv", ".e.png", "note.txt"):
            (tmp_path / name).write_bytes(b"")
        return tmp_path

    def test_by_the_name_without_its_end(self, folder):
        names = ["a.jpg", "b.png", "c.v2.png", "c.png", "d.png", "e.png", "elsewhere/a.tif"]
        found = find_label_maps(folder, names[:6])
        assert found == {
            "a.jpg": folder / "a.png", "b.png": folder / "b.nii.gz", "c.v2.png": folder / "c.v2.nrrd"
        }  # fmt: skip
        assert find_label_maps(folder, names[6:]) == {"elsewhere/a.tif": folder / "a.png"}

    def test_two_files_for_an_image(self, folder):
        (folder / "a.nrrd").write_bytes(b"")
        with pytest.raises(
            InputError, match=r"a.nrrd and a.png may both be the label map of a.jpg: keep one"
        ):
            find_label_maps(folder, ["a.jpg"])
        assert find_label_maps(folder, ["b.png"])  # others are not concerned

    def test_two_images_for_a_file(self, folder):
        with pytest.raises(InputError, match=r"may be the label map of a.jpg or of a.tif"):
            find_label_maps(folder, ["a.jpg", "a.tif"])

    def test_no_such_folder(self, tmp_path):
        with pytest.raises(InputError, match="there is no such folder"):
            find_label_maps(tmp_path / "nothing", ["a.png"])
