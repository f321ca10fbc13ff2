"""Further subjects of the images of a cohort are written to its study."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.detection.training.train import predict_cohort
from napari_landmark.learning.device import choose_device

SCHEMA = LandmarkSchema(("a", "b"))


def marks(x: float) -> LandmarkSet:
    return LandmarkSet.from_array(SCHEMA, np.array([(1.0, x), (5.0, x)]), status="predicted")


def test_those_of_the_image_that_shows_them(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("one.png", "two.png"):
        Image.fromarray(np.eye(40, dtype=np.uint8) * 200).save(tmp_path / "images" / name)
    cohort = Cohort.from_folder(tmp_path / "images", working_size=64, cache_dir=tmp_path / "cache")
    study = Study.create(tmp_path / "study", schema=SCHEMA, images=tmp_path / "images")
    found = {"one.png": (marks(3),), "two.png": (marks(4), marks(30))}

    def detect(cohort: Cohort, number: int) -> SimpleNamespace:
        subjects = found[cohort.names[number]]
        several = subjects if len(subjects) > 1 else ()
        return SimpleNamespace(landmarks=subjects[0], subjects=several, pose=Pose.upright(2))

    model = SimpleNamespace(detect_in_cohort=detect, device=choose_device("cpu"))
    predict_cohort(model, cohort, study=study)
    assert study.load_further_subjects("one.png") == ()
    (second,) = study.load_further_subjects("two.png")
    np.testing.assert_allclose(second.positions(2), marks(30).positions(2))
