from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import write_landmarks
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.data.study.landmark_source import LandmarkSource
from napari_landmark.data.study.study import Study

SCHEMA = LandmarkSchema(("A", "B"))


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "abc":
        tifffile.imwrite(folder / f"{name}.tif", np.zeros((20, 30), np.uint8))
    return folder


def marks(x: float, status: Status = Status.PLACED) -> LandmarkSet:
    return LandmarkSet(SCHEMA, [Landmark("A", (5.0, x), status=status)])


@pytest.fixture
def study(tmp_path, images):
    made = Study.create(tmp_path / "study", schema=SCHEMA, images=images, spacing=0.5)
    made.save_annotations("a.tif", marks(10.0))
    for name in ("a.tif", "b.tif", "c.tif"):
        made.save_predictions(name, marks(11.0, Status.PREDICTED))
    made.decide("c.tif", ImageDecision.LEFT_OUT)
    return made


def test_annotations_of_a_study_are_completed_by_predictions(study, images):
    found = LandmarkSource.read(study.folder)
    assert list(found.landmarks) == ["a.tif", "b.tif"]
    assert found.landmarks["a.tif"]["A"].position == (5.0, 10.0)
    assert found.landmarks["b.tif"]["A"].status is Status.PREDICTED
    assert found.left_out == ("c.tif",)
    assert found.files["b.tif"] == images / "b.tif"
    assert found.geometries["b.tif"].shape == (20, 30)
    assert found.geometries["b.tif"].spacing == (0.5, 0.5)
    assert not found.problems


def test_predictions_can_be_left_out(study):
    found = LandmarkSource.read(study.folder, manual_only=True)
    assert [name for name, one in found.landmarks.items() if one.ndim is not None] == ["a.tif"]


def test_images_that_are_gone_are_a_problem_and_the_spacing_of_the_study_counts(study, images):
    images.rename(images.with_name("moved"))
    found = LandmarkSource.read(study.folder)
    assert len(found.problems) == 1
    assert found.geometries["a.tif"].spacing == (0.5, 0.5)
    assert found.geometries["a.tif"].shape[1] > 10.0  # holds the landmark
    with pytest.raises(InputError, match="there is no such folder"):
        LandmarkSource.read(study.folder, images=images)


def test_an_unreadable_image_is_named_and_its_landmarks_are_kept(study, images):
    (images / "b.tif").write_bytes(b"no image")
    found = LandmarkSource.read(study.folder)
    assert "b.tif" in found.landmarks
    assert any("b.tif" in line for line in found.problems)
    assert found.geometries["a.tif"].shape == (20, 30)


def test_a_file_is_matched_with_the_images_of_a_folder(tmp_path, images):
    write_landmarks(tmp_path / "marks.csv", {"a": marks(3.0), "unknown.tif": marks(4.0)})
    found = LandmarkSource.read(tmp_path / "marks.csv", images=images, spacing=0.2)
    assert found.files["a"] == images / "a.tif"
    assert found.geometries["a"].shape == (20, 30)
    assert found.problems == ("unknown.tif: is not among the images",)
    assert found.geometries["unknown.tif"].spacing == (0.2, 0.2)
    assert found.study is None


def test_a_study_without_landmarks_is_refused(tmp_path):
    study = Study.create(tmp_path / "empty", schema=SCHEMA)
    with pytest.raises(InputError, match="no image has landmarks"):
        LandmarkSource.read(study.folder)
