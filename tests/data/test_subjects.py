"""Names of subjects, and their predictions in a study."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study.schema_migration import change_schema
from napari_landmark.data.study.study import Study
from napari_landmark.data.subjects import image_of_subject, subject_name

IMAGE, SCHEMA = "both hands.png", LandmarkSchema(("tip", "base"))


def found(*positions: tuple[float, float]) -> LandmarkSet:
    marks = LandmarkSet.from_array(SCHEMA, np.array(positions), status="predicted")
    return LandmarkSet(SCHEMA, marks.values(), image_state=ImageState.SEVERAL)


FIRST, SECOND, THIRD = (found((x, 2), (x, 9)) for x in (1, 41, 81))


@pytest.fixture
def study(tmp_path) -> Study:
    study = Study.create(tmp_path / "study", schema=SCHEMA)
    study.save_predictions(IMAGE, FIRST, Geometry((100, 20), (0.5, 0.5)), further_subjects=(SECOND, THIRD))
    return study


@pytest.mark.parametrize("name", ["hand.png", "a (subject 2).png", "b"])
def test_names(name):
    assert subject_name(name, 1) == name
    assert image_of_subject(subject_name(name, 12)) == image_of_subject(name) == name


def test_predictions_of_further_subjects_are_kept_apart(study):
    again = Study.open(study.folder)
    assert list(again.predictions()) == [IMAGE]
    np.testing.assert_allclose(again.load_predictions(IMAGE).positions(2), FIRST.positions(2))
    further = again.load_further_subjects(IMAGE)
    assert [marks.image_state for marks in further] == [ImageState.SEVERAL] * 2
    np.testing.assert_allclose([m.positions(2) for m in further], [m.positions(2) for m in (SECOND, THIRD)])
    assert again.load_further_subjects("other.png") == ()


def test_a_new_prediction_leaves_none_of_the_earlier_subjects(study):
    study.save_all_predictions({"other.png": FIRST}, {})
    assert len(study.load_further_subjects(IMAGE)) == 2
    study.save_predictions(IMAGE, FIRST, further_subjects=(THIRD,))
    (only,) = study.load_further_subjects(IMAGE)
    np.testing.assert_allclose(only.positions(2), THIRD.positions(2))
    study.save_all_predictions({IMAGE: FIRST}, {})
    assert study.load_further_subjects(IMAGE) == ()
    assert not list((study.folder / "predictions" / "subjects").iterdir())


def test_renamed_landmarks_are_renamed_in_all_subjects(study):
    asked = []
    change_schema(
        study,
        LandmarkSchema(("peak", "base")),
        renames={"tip": "peak"},
        geometry=lambda image: asked.append(image),
    )
    assert set(asked) == {IMAGE}
    (second, _) = Study.open(study.folder).load_further_subjects(IMAGE)
    assert second["peak"].position == SECOND["tip"].position
    assert second["base"].position == SECOND["base"].position


def test_a_model_of_before_the_renaming(study):
    change_schema(study, LandmarkSchema(("peak", "base")), renames={"tip": "peak"})
    study.save_predictions(IMAGE, FIRST, further_subjects=(SECOND,))  # with the names of the model
    (second,) = study.load_further_subjects(IMAGE)
    assert second["peak"].position == SECOND["tip"].position


def test_a_damaged_file_is_named(study):
    file = study.folder / "predictions" / "subjects"
    (second, _) = sorted(file.iterdir())
    second.write_text("image,landmark,x,y\nother.png,tip,1,2\n")
    with pytest.raises(InputError, match=r"subject"):
        study.load_further_subjects(IMAGE)
