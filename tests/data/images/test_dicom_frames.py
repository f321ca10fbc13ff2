"""DICOM files of several frames: volumes by the positions of the frames, and frames that are no stack."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import read_geometry, read_image

from .dicom_files import STRAIGHT, TURNED, VOLUME, group, save, save_frames

STEPS = 2.5 * np.arange(len(VOLUME))


def along(rotation: np.ndarray, depths=STEPS) -> list:
    return [np.array([10, 20, 30]) + depth * rotation[:, 2] for depth in depths]


class TestVolumes:
    @pytest.mark.parametrize("rotation", [STRAIGHT, TURNED], ids=["straight", "oblique"])
    @pytest.mark.parametrize("depths", [STEPS, STEPS[::-1]], ids=["rising", "falling"])
    def test_positions_of_the_frames_count_not_the_thickness(self, tmp_path, rotation, depths):
        path = save_frames(tmp_path / "a.dcm", VOLUME, along(rotation, depths), rotation=rotation)
        image = read_image(path)
        np.testing.assert_array_equal(image.array, VOLUME)  # an index is the number of the frame
        assert read_geometry(path) == image.geometry
        assert image.geometry.spacing == pytest.approx((2.5, 0.5, 0.75))
        for z, y, x in ((0, 0, 0), (4, 7, 3)):
            expected = along(rotation, depths)[z] + rotation @ [x * 0.75, y * 0.5, 0]
            np.testing.assert_allclose(image.geometry.to_world([[z, y, x]])[0][::-1], expected, atol=1e-6)

    def test_alone_in_a_folder(self, tmp_path):
        (tmp_path / "patient").mkdir()
        path = save_frames(tmp_path / "patient" / "a.dcm", VOLUME, along(STRAIGHT))
        assert read_geometry(tmp_path / "patient") == read_geometry(path)
        np.testing.assert_array_equal(read_image(tmp_path / "patient").array, VOLUME)

    def test_beside_other_files_the_reason_is_true(self, tmp_path):
        path = save_frames(tmp_path / "a.dcm", VOLUME, along(STRAIGHT))
        shutil.copy(path, tmp_path / "b.dcm")
        with pytest.raises(
            InputError, match=r"a\.dcm holds 6 frames: give every file .* a folder of its own"
        ):
            read_image(tmp_path)

    def test_without_positions(self, tmp_path):
        tags = {"NumberOfFrames": len(VOLUME), "PixelData": VOLUME.tobytes(), "PixelSpacing": [0.5, 0.75]}
        thick = save(tmp_path / "a.dcm", VOLUME[0], SliceThickness=9, **tags)
        assert read_image(thick).geometry.spacing is None
        apart = save(tmp_path / "b.dcm", VOLUME[0], SpacingBetweenSlices=2, **tags)
        assert read_image(apart).geometry.spacing == (2, 0.5, 0.75)

    def test_offsets_of_a_dose(self, tmp_path):
        path = save(
            tmp_path / "a.dcm",
            VOLUME[0],
            Modality="RTDOSE",
            NumberOfFrames=len(VOLUME),
            PixelData=VOLUME.tobytes(),
            PixelSpacing=[0.5, 0.75],
            ImagePositionPatient=[1, 2, 3],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            GridFrameOffsetVector=list(-STEPS),
        )
        geometry = read_geometry(path)
        np.testing.assert_allclose(geometry.to_world([[2, 0, 0]]), [[-2, 2, 1]])


class TestNoStack:
    @pytest.mark.parametrize(
        ("depths", "message"),
        [
            ([0, 5, 10, 0, 5, 10], "its frames 1 and 4 have the same position"),
            ([0, 10, 5, 15, 20, 25], "its frames are not in the order of their positions"),
            ([0, 5, 10, 20, 25, 30], r"its frames are not evenly apart \(5 mm, but 10 mm between 3 and 4\)"),
        ],
        ids=["twice", "shuffled", "gap"],
    )
    def test_positions(self, tmp_path, depths, message):
        path = save_frames(tmp_path / "a.dcm", VOLUME, along(STRAIGHT, depths))
        for read in (read_geometry, read_image):
            with pytest.raises(InputError, match=rf"a\.dcm: {message}"):
                read(path)

    def test_tilted(self, tmp_path):
        positions = [(0, 0.7 * z, 2.5 * z) for z in range(len(VOLUME))]
        with pytest.raises(InputError, match="its frames are shifted against each other"):
            read_image(save_frames(tmp_path / "a.dcm", VOLUME, positions))

    def test_turned(self, tmp_path):
        frames = [{"PlaneOrientationSequence": group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])}] * 5
        frames.append({"PlaneOrientationSequence": group(ImageOrientationPatient=[0, 1, 0, 0, 0, 1])})
        path = save_frames(tmp_path / "a.dcm", VOLUME, along(STRAIGHT), frames=frames)
        with pytest.raises(InputError, match="its frames 1 and 6 are turned"):
            read_image(path)

    @pytest.mark.parametrize(
        ("sequence", "attribute", "values", "message"),
        [
            ("SegmentIdentificationSequence", "ReferencedSegmentNumber", (1, 2), "several segments"),
            ("FrameContentSequence", "StackID", ("1", "2"), "several stacks"),
            ("MREchoSequence", "EffectiveEchoTime", (10.0, 80.0), "several echoes"),
            ("PixelValueTransformationSequence", "RescaleSlope", (1, 2), "several scalings"),
        ],
    )
    def test_frames_of_several_kinds(self, tmp_path, sequence, attribute, values, message):
        frames = [{sequence: group(**{attribute: values[number // 3]})} for number in range(len(VOLUME))]
        path = save_frames(tmp_path / "a.dcm", VOLUME, along(STRAIGHT), frames=frames)
        with pytest.raises(InputError, match=rf"a\.dcm: holds {message}"):
            read_image(path)

    @pytest.mark.parametrize(
        ("tags", "message"),
        [
            ({"DetectorVector": [1, 1, 1, 2, 2, 2]}, "several detectors"),
            ({"TotalPixelMatrixColumns": 30, "TotalPixelMatrixRows": 24}, "6 tiles of a slide"),
            ({"FrameTime": 33}, None),
        ],
    )
    def test_of_other_machines(self, tmp_path, tags, message):
        path = save_frames(tmp_path / "a.dcm", VOLUME, along(STRAIGHT), **tags)
        if message is None:  # a time beside positions: a volume
            assert read_geometry(path).spacing == pytest.approx((2.5, 0.5, 0.75))
            return
        with pytest.raises(InputError, match=message):
            read_image(path)

    def test_fewer_positions_than_frames(self, tmp_path):
        path = save_frames(tmp_path / "a.dcm", VOLUME, along(STRAIGHT)[:-1])
        with pytest.raises(InputError, match="gives positions of 5 of its 6 frames"):
            read_image(path)
