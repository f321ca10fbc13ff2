"""Images that are deleted, added or damaged between two openings of a study: annotations stay with their names."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.creation import create_study, extend_study
from napari_landmark.data.study.study import Study

SCHEMA = LandmarkSchema(("tip", "base"))
SECOND = LandmarkSet.from_array(SCHEMA, [[3, 4], [10, 12]])
FIFTH = LandmarkSet.from_array(SCHEMA, [[7, 5], [20, 22]])


def picture(path, seed):
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 40), np.uint8)).save(path)


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_LANDMARK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "images").mkdir()
    for number in range(1, 7):
        picture(tmp_path / "images" / f"{number}.png", number)
    return tmp_path / "images"


def test_nothing_shifts(images, tmp_path):
    first = Cohort.from_folder(images)
    annotated = {"2.png": SECOND, "5.png": FIFTH}
    study = create_study(tmp_path / "study", first, images=images, annotations=annotated)
    before = {name: first.working(first.index(name)) for name in first.names}
    (images / "3.png").unlink()
    (images / "4.png").write_bytes((images / "4.png").read_bytes()[:200])
    picture(images / "0.png", 9)
    picture(images / "55.png", 10)

    again = Study.open(study.folder)
    cohort = Cohort.from_folder(again.require_images())
    assert cohort.names == ("0.png", "1.png", "2.png", "5.png", "6.png", "55.png")
    assert [skipped.name for skipped in cohort.skipped_files] == ["4.png"]
    assert again.annotations() == annotated
    for name in ("1.png", "2.png", "5.png", "6.png"):
        number = cohort.index(name)
        np.testing.assert_array_equal(cohort.working(number), before[name])
        assert cohort.read(number).name == name
    extend_study(again, cohort, annotations={"0.png": SECOND})
    assert Study.open(study.folder).annotations() == {**annotated, "0.png": SECOND}


def test_an_annotated_image_that_is_gone_keeps_its_annotation(images, tmp_path):
    cohort = Cohort.from_folder(images)
    study = create_study(tmp_path / "study", cohort, images=images, annotations={"2.png": SECOND})
    content = (images / "2.png").read_bytes()
    (images / "2.png").unlink()
    fewer = Cohort.from_folder(images)
    extend_study(study, fewer, annotations={"5.png": FIFTH})
    study.save_annotations("1.png", FIFTH, fewer.geometry(0))
    (images / "2.png").write_bytes(content)
    assert Study.open(study.folder).load_annotations("2.png") == SECOND
    assert Cohort.from_folder(images).names == cohort.names
