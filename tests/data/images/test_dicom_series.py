"""Folders of DICOM slices: volumes in patient coordinates, and what is no regular grid."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.images import dicom_series
from napari_landmark.data.images.dicom_header import dicom_header
from napari_landmark.data.images.image import read_geometry, read_image
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet

from .dicom_files import STRAIGHT, TURNED, VOLUME, save, save_series


class TestSeriesFolders:
    @pytest.mark.parametrize("rotation", [STRAIGHT, TURNED], ids=["straight", "oblique"])
    def test_a_folder_of_slices_is_a_volume(self, tmp_path, rotation):
        save_series(tmp_path / "ct", VOLUME, rotation=rotation)
        image = read_image(tmp_path / "ct")
        np.testing.assert_array_equal(image.array, VOLUME)
        assert image.geometry.spacing == pytest.approx((2.5, 0.5, 0.75))
        assert read_geometry(tmp_path / "ct") == image.geometry
        # A voxel is where DICOM's own formula puts it.
        z, y, x = 4, 7, 3
        expected = np.array([10, 20, 30]) + rotation @ np.array([x * 0.75, y * 0.5, z * 2.5])
        np.testing.assert_allclose(image.geometry.to_world([[z, y, x]])[0][::-1], expected, atol=1e-6)

    def test_sub_folders_of_a_cohort(self, tmp_path):
        for number in range(3):
            save_series(tmp_path / "all" / f"patient {number}", VOLUME) if number else (
                tmp_path / "all"
            ).mkdir()
        (tmp_path / "all" / "empty").mkdir()
        (tmp_path / "all" / "notes").mkdir()
        (tmp_path / "all" / "notes" / "a.txt").write_text("hello")
        cohort = Cohort.from_folder(tmp_path / "all", cache_dir=tmp_path / "cache")
        assert cohort.names == ("patient 1", "patient 2")
        assert cohort.ndim == 3
        assert cohort.skipped_files == ()
        before = cohort.fingerprint()
        path = next((tmp_path / "all" / "patient 1").iterdir())
        path.write_bytes(path.read_bytes() + b"\0\0")
        assert Cohort.from_folder(tmp_path / "all", cache_dir=tmp_path / "cache").fingerprint() != before
        assert [name for name, _ in image_files(tmp_path / "all")[0]] == ["patient 1", "patient 2"]

    def test_a_slice_is_parsed_once_until_it_changes(self, tmp_path, monkeypatch):
        folder, parsed = tmp_path / "all" / "ct", []
        folder.parent.mkdir()
        monkeypatch.setattr(
            dicom_series, "dicom_header", lambda path: (parsed.append(path), dicom_header(path))[1]
        )
        save_series(folder, VOLUME)
        Cohort.from_folder(folder.parent, cache_dir=tmp_path / "cache")
        assert len(parsed) == len(set(parsed)) == len(VOLUME)
        np.testing.assert_array_equal(read_image(folder).array, VOLUME)
        assert len(parsed) == len(VOLUME)
        shutil.rmtree(folder)
        save_series(folder, VOLUME[::-1], spacing=(4, 1, 1))
        changed = read_image(folder)
        np.testing.assert_array_equal(changed.array, VOLUME[::-1])
        assert changed.geometry.spacing == pytest.approx((4, 1, 1))

    def test_a_single_slice_is_a_picture(self, tmp_path):
        save_series(tmp_path / "one", VOLUME[:1])
        image = read_image(tmp_path / "one")
        np.testing.assert_array_equal(image.array, VOLUME[0])
        assert image.geometry.spacing == pytest.approx((0.5, 0.75))

    def test_a_missing_slice(self, tmp_path):
        places = save_series(tmp_path / "ct", VOLUME)
        (tmp_path / "ct" / sorted(places, key=lambda name: places[name][2])[3]).unlink()
        with pytest.raises(
            InputError, match=r"ct: its slices are not evenly apart \(2\.5 mm, but 5 mm between"
        ):
            read_image(tmp_path / "ct")

    def test_a_slice_twice(self, tmp_path):
        name = next(iter(save_series(tmp_path / "ct", VOLUME)))
        (tmp_path / "ct" / "copy").write_bytes((tmp_path / "ct" / name).read_bytes())
        with pytest.raises(InputError, match="have the same position: keep one of them"):
            read_image(tmp_path / "ct")

    def test_two_series(self, tmp_path):
        save_series(tmp_path / "ct", VOLUME)
        save_series(tmp_path / "other", VOLUME, uid="1.2.4", origin=(0, 0, 900))
        for path in (tmp_path / "other").iterdir():
            path.rename(tmp_path / "ct" / f"B{path.name}")
        with pytest.raises(InputError, match=r"ct: holds several series .*: give each a folder of its own"):
            read_image(tmp_path / "ct")

    def test_a_tilted_gantry(self, tmp_path):
        save_series(tmp_path / "ct", VOLUME, tilt=0.5)
        with pytest.raises(InputError, match="a tilted gantry"):
            read_image(tmp_path / "ct")

    def test_a_stray_file_before_the_slices(self, tmp_path):
        """What a folder is does not depend on its first file: the patient is named as left out."""
        (tmp_path / "all").mkdir()
        save_series(tmp_path / "all" / "one", VOLUME)
        save_series(tmp_path / "all" / "two", VOLUME)
        (tmp_path / "all" / "two" / "0_export.log").write_text("done")
        cohort = Cohort.from_folder(tmp_path / "all", cache_dir=tmp_path / "cache")
        assert cohort.names == ("one",)
        assert [skipped.name for skipped in cohort.skipped_files] == ["two"]
        assert "0_export.log" in cohort.skipped_files[0].reason

    def test_a_stray_file(self, tmp_path):
        save_series(tmp_path / "ct", VOLUME)
        (tmp_path / "ct" / "report.txt").write_text("hello")
        with pytest.raises(InputError, match=r"ct: its file report\.txt cannot be read, it is no DICOM file"):
            read_image(tmp_path / "ct")

    def test_a_slice_without_a_position(self, tmp_path):
        save_series(tmp_path / "ct", VOLUME)
        save(tmp_path / "ct" / "x", VOLUME[0], SeriesInstanceUID="1.2.3")
        with pytest.raises(InputError, match="no ImagePositionPatient"):
            read_image(tmp_path / "ct")


@settings(max_examples=15)
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    spacing=st.tuples(st.floats(0.3, 8), st.floats(0.1, 3), st.floats(0.1, 3)),
    place=st.tuples(*[st.floats(0, 1)] * 3),
)
def test_through_slicer_and_back_within_a_thousandth_of_a_millimetre(
    tmp_path_factory, angles, origin, spacing, place
):
    """Slices -> volume -> point -> Slicer's file -> what Slicer reads there -> back, in any orientation."""
    folder = tmp_path_factory.mktemp("trip")
    rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    save_series(folder / "ct", VOLUME, rotation=rotation, origin=origin, spacing=spacing)
    geometry = read_geometry(folder / "ct")
    index = np.array(place) * (np.array(VOLUME.shape) - 1)
    world = np.array(origin) + rotation @ (index * spacing)[::-1]  # DICOM's formula, x y z
    marks = LandmarkSet.from_array(LandmarkSchema(("a",)), [index])
    for name in ("ct.mrk.json", "ct.fcsv"):
        write_landmarks(folder / name, {"ct": marks}, geometries={"ct": geometry})
        back = read_landmarks(folder / name, geometries={"ct": geometry})["ct"].positions()
        assert np.linalg.norm((back - index) * spacing) < 1e-3
    written = json.loads((folder / "ct.mrk.json").read_text())["markups"][0]
    assert written["coordinateSystem"] == "LPS"
    np.testing.assert_allclose(written["controlPoints"][0]["position"], world, atol=1e-3)
