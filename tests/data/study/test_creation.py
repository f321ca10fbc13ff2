"""A study from images, template images and landmark files, as the terminal and the viewer create it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.creation import create_study, extend_study, read_template_landmarks
from napari_landmark.data.study.study import Study

from ..images.dicom_files import VOLUME, save_series

SCHEMA = LandmarkSchema(("tip", "base"))
MARKS = LandmarkSet.from_array(SCHEMA, [[3, 4], [10, 12]])
OUTSIDE = LandmarkSet.from_array(SCHEMA, [[3, 4], [10, 99]])


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 32), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_LANDMARK_CACHE", str(tmp_path / "cache"))
    for name in ("a.png", "b.png"):
        picture(tmp_path / "images" / name)
    return tmp_path / "images"


@pytest.fixture
def elsewhere(tmp_path):
    return picture(tmp_path / "other" / "template.png")


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["image,landmark,x,y,status", *rows]) + "\n")
    return path


class TestCreation:
    def test_by_name(self, images, tmp_path):
        cohort = Cohort.from_folder(images)
        create_study(tmp_path / "s", cohort, images=images, annotations={"b.png": MARKS}, spacing=0.5)
        study = Study.open(tmp_path / "s")
        assert (study.template, study.schema, study.spacing) == ("b.png", SCHEMA, 0.5)
        assert study.images.resolve() == images.resolve()
        assert study.annotations() == {"b.png": MARKS}
        assert not study.extra

    def test_a_template_outside_the_folder_is_kept_as_an_extra_image(self, images, elsewhere, tmp_path):
        cohort = Cohort.from_folder(images, extra=[elsewhere])
        study = create_study(tmp_path / "s", cohort, images=images, annotations={elsewhere: MARKS})
        assert study.template == "template.png"
        assert [path.resolve() for path in study.extra] == [elsewhere.resolve()]

    def test_without_annotations(self, images, tmp_path):
        cohort = Cohort.from_folder(images)
        with pytest.raises(InputError, match="needs landmarks"):
            create_study(tmp_path / "s", cohort, images=images)
        study = create_study(tmp_path / "s", cohort, images=images, schema=SCHEMA)
        assert (study.template, study.schema) == ("", SCHEMA)

    def test_nothing_is_written_where_a_landmark_is_outside(self, images, tmp_path):
        cohort = Cohort.from_folder(images)
        with pytest.raises(InputError, match=r"b\.png: landmark 'base' at \(99, 10\) lies outside"):
            create_study(
                tmp_path / "s", cohort, images=images, annotations={"a.png": MARKS, "b.png": OUTSIDE}
            )
        assert not (tmp_path / "s").exists()


class TestExtension:
    @pytest.fixture
    def study(self, images, tmp_path):
        cohort = Cohort.from_folder(images)
        return create_study(tmp_path / "s", cohort, images=images, annotations={"a.png": MARKS})

    def test_one_more_template(self, study, images, elsewhere):
        cohort = Cohort.from_folder(images, extra=[elsewhere])
        for _ in range(2):  # the second time it is known already
            extend_study(study, cohort, annotations={elsewhere: MARKS}, spacing=0.25)
            again = Study.open(study.folder)
            assert again.annotations() == {"a.png": MARKS, "template.png": MARKS}
            assert (again.template, again.spacing, len(again.extra)) == ("a.png", 0.25, 1)

    def test_the_same_positions_are_accepted(self, study, images):
        extend_study(study, Cohort.from_folder(images), annotations={"a.png": MARKS})
        assert study.annotations() == {"a.png": MARKS}

    def test_other_positions_are_refused(self, study, images):
        moved = LandmarkSet.from_array(SCHEMA, [[3, 5], [10, 12]])
        with pytest.raises(InputError, match=r"other manual positions for a\.png") as caught:
            extend_study(study, Cohort.from_folder(images), annotations={"a.png": moved}, spacing=3)
        assert caught.value.code is ErrorCode.OTHER_ANNOTATION
        assert Study.open(study.folder).spacing is None


class TestTemplateLandmarks:
    def test_predictions_become_placed(self, tmp_path):
        rows = ("a.png,tip,4,3,predicted", "a.png,base,12,10,corrected", "b.png,tip,1,1,placed")
        path = Path("images/a.png")
        marks = read_template_landmarks([path], table(tmp_path / "t.csv", *rows))[path]
        assert marks["tip"].status is Status.PLACED
        assert marks["tip"].position == (3, 4)
        assert marks["base"].status is Status.CORRECTED

    def test_folders_decide_between_equal_names(self, tmp_path):
        rows = ("left/a.png,tip,1,1,", "right/a.png,tip,2,2,")
        path = tmp_path / "right" / "a.png"
        marks = read_template_landmarks([path], table(tmp_path / "t.csv", *rows))[path]
        assert marks["tip"].position == (2, 2)
        with pytest.raises(InputError, match=r"may be left/a\.png or right/a\.png"):
            read_template_landmarks([tmp_path / "a.png"], tmp_path / "t.csv")

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("b.png,tip,1,1,", r"no rows for the template a\.png \(it has b\.png\)"),
            ("a.png,tip,,,", "no landmark of"),
        ],
    )
    def test_refusals(self, tmp_path, row, message):
        with pytest.raises(InputError, match=message):
            read_template_landmarks([Path("a.png")], table(tmp_path / "t.csv", row))


class TestSeries:
    def test_a_folder_of_dicom_slices_as_the_template(self, tmp_path, monkeypatch):
        monkeypatch.setenv("NAPARI_LANDMARK_CACHE", str(tmp_path / "cache"))
        folder = tmp_path / "images"
        folder.mkdir()
        for name in ("one", "two"):
            save_series(folder / name, VOLUME)
        path = tmp_path / "points.csv"
        path.write_text("image,landmark,x,y,z\none,tip,4,3,2\n")
        marks = read_template_landmarks([folder / "one"], path)
        study = create_study(
            tmp_path / "s", Cohort.from_folder(folder, extra=list(marks)), images=folder, annotations=marks
        )
        assert (study.template, dict(study.extra)) == ("one", {})
        assert study.load_annotations("one")["tip"].position == (2, 3, 4)
