"""Files of a transform come back, and damaged ones are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.registration.transform.transform import Transform


class TestFiles:
    @pytest.fixture
    def saved(self, example, tmp_path):
        example.smooth("oblique").save(tmp_path / "warp.nrrd", names=("a.png", "b.png"))
        return tmp_path / "warp.nrrd"

    @pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
    def test_come_back(self, smooth, example, suffix, tmp_path):
        smooth.save(tmp_path / f"a.warp{suffix}")
        back = Transform.load(tmp_path / f"a.warp{suffix}")
        assert (back.fixed, back.moving) == (smooth.fixed, smooth.moving)
        points = example.inner_points(smooth)
        np.testing.assert_allclose(back.to_moving(points), smooth.to_moving(points), atol=1e-3)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.warp.json", f"a.warp{suffix}"]

    def test_the_source_of_a_spacing_is_kept(self, tmp_path):
        fixed = Geometry((9, 9), spacing=(0.2, 0.2), spacing_source="file", spacing_plane="detector plane")
        Transform.identity(fixed, Geometry((8, 8))).save(tmp_path / "a.nrrd")
        back = Transform.load(tmp_path / "a.nrrd")
        assert (back.fixed, back.moving) == (fixed, Geometry((8, 8)))

    def test_the_description_names_the_images(self, saved):
        description = json.loads(saved.with_suffix(".json").read_text())
        assert description["unit"] == "mm"
        assert description["fixed"]["name"] == "a.png"
        assert description["moving"]["shape"] == [60, 44]

    def test_without_a_description(self, saved):
        saved.with_suffix(".json").unlink()
        with pytest.raises(InputError, match=r"warp.nrrd: the file warp.json that belongs to it is missing"):
            Transform.load(saved)

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(InputError, match="there is no such file"):
            Transform.load(tmp_path / "warp.nrrd")

    @pytest.mark.parametrize("name", ["warp.tif", "warp"])
    def test_another_suffix(self, example, tmp_path, name):
        for call in (example.smooth("plain").save, Transform.load):
            with pytest.raises(InputError, match=r"in files that end in \.nrrd, \.nii\.gz, \.mha"):
                call(tmp_path / name)

    @pytest.mark.parametrize(
        "content",
        ["", "{", "[]", "null", '{"format": "napari-landmark transform", "version": 1}', "[" * 100_000],
    )
    def test_a_damaged_description(self, saved, content):
        saved.with_suffix(".json").write_text(content)
        with pytest.raises(InputError, match=r"warp.json: is no description of a transform"):
            Transform.load(saved)

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("format", "other", "does not belong to a transform"),
            ("version", 2, "newer version"),
            ("fixed", {"shape": [0, 3], "spacing": None, "origin": [0, 0], "direction": [[1, 0], [0, 1]],
                       "spacing_source": "unknown"}, "warp.json: an image of shape"),
            ("fixed", {"shape": [900, 900], "spacing": [1, 1], "origin": [0, 0], "direction": [[1, 0], [0, 1]],
                       "spacing_source": "file"}, "does not cover the fixed image"),
            ("fixed", {"shape": [9, 9, 9], "spacing": None, "origin": [], "direction": [],
                       "spacing_source": "unknown"}, "a picture and a volume"),
        ],
    )  # fmt: skip
    def test_a_wrong_description(self, saved, key, value, message):
        beside = saved.with_suffix(".json")
        beside.write_text(json.dumps({**json.loads(beside.read_text()), key: value}))
        with pytest.raises(InputError, match=message):
            Transform.load(saved)

    @pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
    def test_a_truncated_field(self, example, tmp_path, suffix):
        path = tmp_path / f"warp{suffix}"
        example.smooth("plain").save(path)
        content = path.read_bytes()
        for length in (0, 40, len(content) // 2, len(content) - 200):
            path.write_bytes(content[:length])
            with pytest.raises(InputError, match=f"warp{suffix}: .*(damaged|not an image)"):
                Transform.load(path)

    def test_other_numbers_of_components(self, saved):
        image = sitk.Image([20, 20], sitk.sitkVectorFloat64, 3)
        sitk.WriteImage(image, str(saved))
        with pytest.raises(InputError, match="holds 3 values at every point of 2 axes"):
            Transform.load(saved)

    def test_values_that_are_not_finite(self, saved):
        image = sitk.ReadImage(str(saved))
        array = sitk.GetArrayFromImage(image)
        array[3, 3] = np.nan
        broken = sitk.GetImageFromArray(array, isVector=True)
        broken.CopyInformation(image)
        sitk.WriteImage(broken, str(saved))
        with pytest.raises(InputError, match="not finite"):
            Transform.load(saved)
