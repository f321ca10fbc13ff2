"""Models of the study are read at events, and one list tells of all of them."""

from __future__ import annotations

import json

import pytest

from napari_landmark.gui.session.model_list import ModelList


def write_model(folder, *, complete=True):
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps({"training": {"complete": complete}}))


def write_registration(folder, *, cancelled=False, regions=None):
    folder.mkdir(parents=True)
    training = {"cancelled": cancelled, "options": {"weights": {"regions": regions or {}}}}
    (folder / "model.json").write_text(json.dumps({"training": training}))


def test_a_new_study_has_none(study):
    assert ModelList.read(study) == ModelList()


def test_landmark_models_newest_first(study):
    for name, complete in (("001", True), ("002", True), ("010", False)):
        write_model(study.models_dir / name, complete=complete)
    models = ModelList.read(study)
    assert models.names == ("010", "002", "001")
    assert [model.stopped_early for model in models.landmark_models] == [True, False, False]
    assert all(model.created is not None for model in models.landmark_models)
    assert models.default == "002"


def test_an_interrupted_training_can_be_resumed(study):
    run = study.models_dir / "001"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    assert ModelList.read(study).interrupted_training is None
    (run / "checkpoint-1.safetensors").write_bytes(b"")
    assert ModelList.read(study).interrupted_training == run


def test_registration_models_with_their_weights(study):
    folder = study.folder / "registration"
    write_registration(folder / "001", regions={"3": 2.5})
    write_registration(folder / "002", cancelled=True)
    newest, oldest = ModelList.read(study).registration_models
    assert (newest.folder.name, newest.stopped_early, newest.region_weights) == ("002", True, {})
    assert (oldest.folder.name, oldest.stopped_early, oldest.region_weights) == ("001", False, {3: 2.5})


def test_an_interrupted_registration_can_be_resumed(study):
    run = study.folder / "registration" / "001"
    run.mkdir(parents=True)
    (run / "checkpoint.safetensors").write_bytes(b"")
    assert ModelList.read(study).interrupted_registration is None
    (run / "run.json").write_text("{}")
    assert ModelList.read(study).interrupted_registration == run


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"training": 3}', '{"training": {"options": {"weights": 1}}}']
)
def test_damaged_descriptions_are_listed_all_the_same(study, text):
    for folder in (study.models_dir / "001", study.folder / "registration" / "001"):
        folder.mkdir(parents=True)
        (folder / "model.json").write_text(text)
    models = ModelList.read(study)
    assert models.names == ("001",)
    assert [dict(model.region_weights) for model in models.registration_models] == [{}]


class TestOfTheSession:
    def test_it_changes_at_events_only(self, session):
        changes = []
        session.models_changed.connect(lambda: changes.append(session.models.names))
        write_model(session.study.models_dir / "001")
        assert session.models.names == ()
        session.refresh_models()
        session.refresh_models()  # the same list again is no change
        assert changes == [("001",)]

    def test_opening_a_study_reads_it(self, session, study, cohort):
        write_model(study.models_dir / "001")
        listed = []
        session.study_changed.connect(lambda: listed.append(session.models.names))
        session.open(study, cohort)
        assert listed == [("001",)]
