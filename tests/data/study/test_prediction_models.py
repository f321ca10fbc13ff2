"""Which model predicted which image."""

from __future__ import annotations

from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.prediction_models import (
    PREDICTION_MODELS,
    images_to_predict,
    read_prediction_models,
    write_prediction_models,
)
from napari_landmark.data.study.study import Study

SCHEMA = LandmarkSchema(("tip",))
MARKS = LandmarkSet.from_array(SCHEMA, [[3.0, 4.0]], Status.PREDICTED)


def test_a_prediction_is_saved_with_its_model(tmp_path):
    study = Study.create(tmp_path / "study", schema=SCHEMA)
    study.save_predictions("a.png", MARKS, model="001")
    study.save_all_predictions({"b.png": MARKS, "c.png": MARKS}, {}, model="002")
    assert read_prediction_models(study.folder) == {"a.png": "001", "b.png": "002", "c.png": "002"}
    study.save_predictions("c.png", MARKS)  # of a model that is not of the study
    assert read_prediction_models(study.folder) == {"a.png": "001", "b.png": "002"}
    assert study.predicted_images(["a.png", "c.png", "d.png"]) == {"a.png", "c.png"}


def test_a_damaged_file_is_as_none_and_written_anew(tmp_path):
    (tmp_path / "predictions").mkdir()
    for content in ("{", '{"version": 2, "models": {"a.png": "001"}}', '{"version": 1, "models": []}'):
        (tmp_path / PREDICTION_MODELS).write_text(content)
        assert read_prediction_models(tmp_path) == {}
    write_prediction_models(tmp_path, ["b.png"], "003")
    assert read_prediction_models(tmp_path) == {"b.png": "003"}


def test_images_that_a_model_did_not_predict():
    models = {"a": "001", "b": "002"}

    def of(model, *, is_only=False):
        return images_to_predict("abcd", model, models=models, predicted="abc", is_only=is_only)

    assert of("001") == ["b", "c", "d"]
    assert of("002") == ["a", "c", "d"]
    # A prediction of an earlier version, without a record: of the only model there is, or of an unknown one.
    assert images_to_predict("cd", "001", models={}, predicted="c", is_only=True) == ["d"]
    assert images_to_predict("cd", "001", models={}, predicted="c", is_only=False) == ["c", "d"]
