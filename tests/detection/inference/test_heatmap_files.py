"""Heatmap files overlay the image in any viewer: their peak is at the landmark, in millimetres."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.cohort.working_grid import fit_canvas_transform
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.detection.inference.heatmap_files import write_heatmaps
from napari_landmark.detection.model.detection import Detection

STRIDE = 4
SCHEMA = LandmarkSchema(("nasion", "sella $x$"))
TURN = ((0.0, -0.8, 0.6), (0.0, 0.6, 0.8), (1.0, 0.0, 0.0))  # orthonormal, axes exchanged and one flipped


def detection(geometry, canvas, cells, pose=None):
    """Detection with the peak of each heatmap at one of these cells (n, d)."""
    pose = pose or Pose.upright(len(canvas))
    canvas_transform = fit_canvas_transform(geometry, canvas, pose)
    heatmaps = np.zeros((len(cells), *(n // STRIDE for n in canvas)), np.float32)
    for heat, cell in zip(heatmaps, cells, strict=True):
        heat[tuple(cell)] = 1
    middle = (np.array(cells) + 0.5) * STRIDE - 0.5
    return Detection(
        LandmarkSet.from_array(SCHEMA, canvas_transform.to_native(middle), status=Status.PREDICTED),
        heatmaps,
        canvas_transform.matrix * STRIDE,
        canvas_transform.matrix @ np.full(len(canvas), (STRIDE - 1) / 2) + canvas_transform.offset,
        pose,
        1.0,
    )


@pytest.mark.parametrize(
    ("geometry", "canvas"),
    [
        (Geometry((50, 80), (0.3, 0.2), (-7.0, 12.0)), (64, 128)),
        (Geometry((50, 80), (0.3, 0.2), (5.0, 1.0), ((0.8, -0.6), (0.6, 0.8))), (64, 128)),
        (Geometry((20, 30, 40), (3.0, 0.5, 0.7), (5.0, 6.0, -7.0)), (64, 64, 64)),
        (Geometry((20, 30, 40), (3.0, 0.5, 0.7), (5.0, 6.0, -7.0), TURN), (64, 64, 64)),
    ],
    ids=["2-D", "2-D turned", "3-D", "3-D turned"],
)
def test_the_hottest_voxel_lies_at_the_landmark(tmp_path, geometry, canvas):
    image = MedicalImage(np.zeros(geometry.shape, np.uint8), geometry, "image.nrrd")
    cells = [(3, 7, 5)[: len(canvas)], (8, 12, 9)[: len(canvas)]]
    found = detection(geometry, canvas, cells)
    write_heatmaps(tmp_path / "heat", image, found)
    file = sitk.ReadImage(str(tmp_path / "heat" / "image.nrrd.heatmaps.nrrd"))
    array = sitk.GetArrayFromImage(file)
    assert array.shape[-1] == file.GetNumberOfComponentsPerPixel() == 2
    world = geometry.to_world(found.landmarks.positions())
    for number in range(2):
        hottest = np.unravel_index(array[..., number].argmax(), array.shape[:-1])
        assert array[..., number].max() == 255
        point = file.TransformIndexToPhysicalPoint([int(i) for i in reversed(hottest)])
        np.testing.assert_allclose(point[::-1], world[number], atol=1e-4)


def test_unknown_spacing_counts_pixels(tmp_path):
    geometry = Geometry((50, 80))
    found = detection(geometry, (64, 64), [(3, 7), (8, 12)])
    write_heatmaps(tmp_path, MedicalImage(np.zeros((50, 80), np.uint8), geometry, "a.png"), found)
    file = sitk.ReadImage(str(tmp_path / "a.png.heatmaps.nrrd"))
    point = file.TransformIndexToPhysicalPoint((7, 3))
    np.testing.assert_allclose(point[::-1], found.landmarks.positions()[0], atol=1e-4)
    assert file.GetMetaData("landmark_0") == "nasion"
    assert file.GetMetaData("landmark_1") == "sella $x$"


def test_the_picture_has_the_proportions_of_the_image(tmp_path):
    geometry = Geometry((50, 80))
    array = np.random.default_rng(0).integers(0, 4000, (50, 80)).astype(np.int16)
    write_heatmaps(
        tmp_path, MedicalImage(array, geometry, "a.png"), detection(geometry, (64, 64), [(3, 7), (8, 12)])
    )
    with Image.open(tmp_path / "a.png.png") as picture:
        assert picture.width / picture.height == pytest.approx(80 / 50, rel=0.01)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png.heatmaps.nrrd", "a.png.png"]


@pytest.mark.parametrize("degrees", [0, 90, 35])
@pytest.mark.parametrize("mirrored", [1.0, -1.0])
def test_heatmaps_of_a_turned_image_lie_at_its_landmarks(tmp_path, degrees, mirrored):
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    pose = Pose.of_rotation(turn @ np.diag([1.0, mirrored]))
    geometry = Geometry((120, 100), (0.3, 0.3))
    found = detection(geometry, (128, 128), [(10, 9), (20, 17)], pose)
    write_heatmaps(tmp_path, MedicalImage(np.zeros((120, 100), np.uint8), geometry, "a.png"), found)
    file = sitk.ReadImage(str(tmp_path / "a.png.heatmaps.nrrd"))
    world = geometry.to_world(found.landmarks.positions())
    for (row, column), place in zip([(10, 9), (20, 17)], world, strict=True):
        np.testing.assert_allclose(file.TransformIndexToPhysicalPoint((column, row))[::-1], place, atol=1e-4)
    with Image.open(tmp_path / "a.png.png") as picture:
        colours = np.asarray(picture.convert("RGB")).astype(float)
    # The glow around a landmark, without its cross, in pixels of the picture.
    scale = len(colours) / 120
    glow = colours[..., 0] > 60
    for position in found.landmarks.positions():
        row, column = np.round((position + 0.5) * scale).astype(int)
        assert glow[row - 8 : row + 9, column - 8 : column + 9].sum() > 20
        assert not glow[row + 60 : row + 70, column : column + 10].any()


def test_volumes_have_no_picture(tmp_path):
    geometry = Geometry((20, 30, 40))
    image = MedicalImage(np.zeros(geometry.shape, np.uint8), geometry, "v.nii")
    write_heatmaps(tmp_path, image, detection(geometry, (64, 64, 64), [(1, 2, 3), (4, 5, 6)]))
    assert [path.name for path in tmp_path.iterdir()] == ["v.nii.heatmaps.nrrd"]


def test_a_landmark_without_a_position(tmp_path):
    geometry = Geometry((50, 80))
    found = detection(geometry, (64, 64), [(3, 7), (8, 12)])
    positions = found.landmarks.positions()
    positions[1] = np.nan
    lacking = Detection(
        LandmarkSet.from_array(SCHEMA, positions, status=Status.PREDICTED),
        found.heatmaps,
        found.heatmap_matrix,
        found.heatmap_offset,
        found.pose,
        found.working_error,
    )
    write_heatmaps(tmp_path, MedicalImage(np.zeros((50, 80), np.uint8), geometry, "a.png"), lacking)
    assert (tmp_path / "a.png.png").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise RuntimeError("Exception thrown in SimpleITK ImageFileWriter_Execute")

    monkeypatch.setattr(sitk, "WriteImage", refuse)
    geometry = Geometry((50, 80))
    image = MedicalImage(np.zeros((50, 80), np.uint8), geometry, "a.png")
    with pytest.raises(InputError, match=r"a\.png\.heatmaps\.nrrd: cannot be written"):
        write_heatmaps(tmp_path, image, detection(geometry, (64, 64), [(3, 7), (8, 12)]))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    geometry = Geometry((50, 80))
    image = MedicalImage(np.zeros((50, 80), np.uint8), geometry, "a.png")
    with pytest.raises(InputError, match=r"heat: cannot be written"):
        write_heatmaps(tmp_path / "file" / "heat", image, detection(geometry, (64, 64), [(3, 7), (8, 12)]))
