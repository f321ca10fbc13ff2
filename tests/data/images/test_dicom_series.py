"""DICOM: spacing and its plane, kinds of pixels, compressed pixels, and folders of slices, on files made here."""

from __future__ import annotations

import base64
import io
import tracemalloc
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import encapsulate
from scipy.spatial.transform import Rotation

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks, write_landmarks
from napari_landmark.data.images.dicom_spacing import dicom_header
from napari_landmark.data.images.image import read_geometry, read_image
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet

SLOPE = (np.add.outer(np.arange(16) * 130, np.arange(20) * 60)).astype(np.uint16)  # 0 to 3090
# SLOPE as JPEG-LS without loss: nothing that the tests may use can write that.
JPEG_LS = (
    "/9j/9wALDAAQABQBAREA/9oACAEBAAAAAJ3d3d1c3d1c3FvbWtpZ2VjYV9dCI8Ozo5ODc2NTQzMjEwLy4tLCs8BEVFJQTkxKSEZEQkD989eO3Tk7"
    "EFy4bt2zZq1aNGbNkyZMWLE6EBgwYMF69evXLnnXXXHHGzk/tttNNNNMsssssMMMMMHB+YXXXXXXXWWWWWWVVVVNz6qqq1jGMYxjGMYxazY+LWta"
    "1rWtalKUpSlGp7UpSlKUpSlMyqqqaHpVVVVVVVVVVVUzPKqqqqqqoiJJIyPCSSSSSSSSRid0kkkkqqqYHZVVVVVUvOqqv/64/9k="
)


def save(
    path: Path, array: np.ndarray, *, syntax: str | None = None, frames: bytes | None = None, **tags
) -> Path:
    """A DICOM file with these pixels and tags; `frames` are pixels packed in the way that `syntax` says."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = syntax or pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    data = pydicom.Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality = "CR"
    data.Rows, data.Columns = array.shape[:2]
    data.SamplesPerPixel = 3 if array.ndim == 3 else 1
    data.PhotometricInterpretation = "RGB" if array.ndim == 3 else "MONOCHROME2"
    if array.ndim == 3:
        data.PlanarConfiguration = 0
    bits = 8 * array.dtype.itemsize
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, 12 if bits == 16 else 8, 11 if bits == 16 else 7
    data.PixelRepresentation = 0
    if frames is None:
        data.PixelData = array.tobytes()
    else:
        data.PixelData = encapsulate([frames])
        data["PixelData"].is_undefined_length = True
    for tag, value in tags.items():
        setattr(data, tag, value)
    data.save_as(path, enforce_file_format=True)
    return path


class TestSpacing:
    """Which attribute counts, and which plane it is about."""

    @pytest.mark.parametrize(
        ("tags", "spacing", "statement"),
        [
            ({}, None, "unknown"),
            ({"PixelSpacing": [0.3, 0.2]}, (0.3, 0.2), "file (projection, its plane is not said)"),
            ({"PixelSpacing": [0.3, 0.2], "Modality": "CT"}, (0.3, 0.2), "file"),
            ({"ImagerPixelSpacing": [0.15, 0.1]}, (0.15, 0.1), "file (detector plane)"),
            (
                {"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.2, 0.2]},
                (0.2, 0.2),
                "file (detector plane)",
            ),
            (
                {"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.16, 0.16]},
                (0.16, 0.16),
                "file (calibrated)",
            ),
            (
                {
                    "ImagerPixelSpacing": [0.2, 0.2],
                    "PixelSpacing": [0.2, 0.2],
                    "PixelSpacingCalibrationType": "FIDUCIAL",
                },
                (0.2, 0.2),
                "file (calibrated)",
            ),
            (
                {"ImagerPixelSpacing": [0.3, 0.6], "EstimatedRadiographicMagnificationFactor": 1.5},
                (0.2, 0.4),
                "file (detector plane / magnification 1.5)",
            ),
            (
                {
                    "ImagerPixelSpacing": [0.3, 0.3],
                    "PixelSpacing": [0.3, 0.3],
                    "EstimatedRadiographicMagnificationFactor": 1.5,
                },
                (0.2, 0.2),
                "file (detector plane / magnification 1.5)",
            ),
            (
                {"ImagerPixelSpacing": [0.3, 0.3], "EstimatedRadiographicMagnificationFactor": 0.01},
                (0.3, 0.3),
                "file (detector plane)",
            ),
            ({"NominalScannedPixelSpacing": [0.1, 0.1]}, (0.1, 0.1), "file (film plane)"),
            ({"PixelSpacing": [0, 0]}, None, "unknown"),
            (
                {"PixelSpacing": [-1, 1], "ImagerPixelSpacing": [0.1, 0.1]},
                (0.1, 0.1),
                "file (detector plane)",
            ),
        ],
    )
    def test_policy(self, tmp_path, tags, spacing, statement):
        geometry = read_geometry(save(tmp_path / "a.dcm", SLOPE, **tags))
        assert geometry.spacing == (None if spacing is None else pytest.approx(spacing))
        assert geometry.spacing_statement == statement

    def test_what_a_person_says_counts_more(self, tmp_path):
        path = save(tmp_path / "a.dcm", SLOPE, ImagerPixelSpacing=[0.15, 0.1])
        assert read_geometry(path, spacing=0.4).spacing_statement == "user"

    def test_it_is_stated_with_every_result(self, tmp_path):
        path = save(tmp_path / "a.dcm", SLOPE, ImagerPixelSpacing=[0.15, 0.1])
        marks = LandmarkSet.from_array(LandmarkSchema(("a",)), [[3, 4]])
        write_landmarks(tmp_path / "a.csv", {"a.dcm": marks}, geometries={"a.dcm": read_geometry(path)})
        assert (tmp_path / "a.csv").read_text().splitlines()[1].endswith("file (detector plane)")


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


STRAIGHT = np.eye(3)


def save_series(
    folder: Path,
    volume: np.ndarray,
    *,
    rotation: np.ndarray = STRAIGHT,
    origin: tuple[float, ...] = (10, 20, 30),
    spacing: tuple[float, float, float] = (2.5, 0.5, 0.75),
    tilt: float = 0.0,
    uid: str = "1.2.3",
) -> dict[str, np.ndarray]:
    """A volume [z, y, x] as slices named at random; the position in mm (x, y, z) of every file's first pixel."""
    folder.mkdir(exist_ok=True)
    columns, rows, normal = rotation.T  # x index, y index, z index run along these
    names = np.random.default_rng(0).permutation(len(volume))
    places = {}
    for number, picture in enumerate(volume):
        position = np.asarray(origin) + number * spacing[0] * normal + number * tilt * rows
        name = f"IM{names[number]:04d}"
        save(
            folder / name,
            picture,
            Modality="CT",
            SeriesInstanceUID=uid,
            PixelSpacing=[f"{spacing[1]:.10g}", f"{spacing[2]:.10g}"],
            SliceThickness=9,  # not how far slices are apart
            InstanceNumber=int(names[number]),  # nor in which order they lie
            ImagePositionPatient=[f"{value:.10g}" for value in position],
            ImageOrientationPatient=[f"{value:.10g}" for value in (*columns, *rows)],
        )
        places[name] = position
    return places


VOLUME = np.random.default_rng(1).integers(0, 4000, (6, 12, 10)).astype(np.uint16)
TURNED = Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix()


class TestSeriesFolders:
    @pytest.mark.parametrize("rotation", [STRAIGHT, TURNED], ids=["straight", "oblique"])
    def test_a_folder_of_slices_is_a_volume(self, tmp_path, rotation):
        save_series(tmp_path / "ct", VOLUME, rotation=rotation)
        image = read_image(tmp_path / "ct")
        np.testing.assert_array_equal(image.array, VOLUME)
        assert image.geometry.spacing == pytest.approx((2.5, 0.5, 0.75))
        assert read_geometry(tmp_path / "ct") == image.geometry
        # A voxel lies where DICOM's own formula puts it.
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
        with pytest.raises(InputError, match="lie at the same place: keep one of them"):
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

    def test_a_stray_file(self, tmp_path):
        save_series(tmp_path / "ct", VOLUME)
        (tmp_path / "ct" / "report.txt").write_text("hello")
        with pytest.raises(InputError, match=r"ct: its file report\.txt is not a readable DICOM file"):
            read_image(tmp_path / "ct")

    def test_a_slice_that_says_not_where_it_lies(self, tmp_path):
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
    import json

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


class TestLengths:
    """A damaged length must not be believed: GDCM would take that much memory and never give it back."""

    @staticmethod
    def spoiled(path: Path, before: bytes, element: bytes) -> Path:
        content = save(path, SLOPE).read_bytes()
        place = content.index(before)
        path.write_bytes(content[:place] + element + content[place:])
        return path

    @pytest.mark.parametrize("before", [b"\x28\x00\x02\x00US", b"\xe0\x7f\x10\x00OW"])
    def test_beyond_the_file(self, tmp_path, before):
        path = self.spoiled(tmp_path / "a.dcm", before, b"\x09\x00\x01\x10OB\0\0\xf0\xff\xff\x7f")
        tracemalloc.start()
        for read in (read_geometry, read_image, dicom_header):
            with pytest.raises(InputError, match="ends at byte"):
                read(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**26

    def test_of_the_pixels(self, tmp_path):
        content = save(tmp_path / "a.dcm", SLOPE).read_bytes()
        place = content.index(b"\xe0\x7f\x10\x00OW") + 8
        (tmp_path / "a.dcm").write_bytes(content[:place] + b"\xf0\xff\xff\x7f" + content[place + 4 :])
        with pytest.raises(InputError, match="ends at byte"):
            read_image(tmp_path / "a.dcm")

    def test_an_unknown_kind_of_value_in_the_first_part(self, tmp_path):
        content = save(tmp_path / "a.dcm", SLOPE).read_bytes()
        place = content.index(b"\x02\x00\x10\x00UI") + 4
        (tmp_path / "a.dcm").write_bytes(content[:place] + b"U," + content[place + 2 :])
        with pytest.raises(InputError, match="unknown kind"):
            read_image(tmp_path / "a.dcm")
