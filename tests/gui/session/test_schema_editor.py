"""Changing the schema keeps annotations and predictions."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.schema_migration import merged_schema
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.job import Job
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.session.schema_editor import SchemaEditor

from ..conftest import NAMES, on_disk, predict


class TestSchema:
    def test_renaming_keeps_positions_everywhere(self, session, truth):
        AnnotationEditor(session).place("capitate", (5, 5))
        predict(session, "hand_001.png", truth["hand_001.png"])
        SchemaEditor(session).rename("capitate", "os capitatum")
        study = Study.open(session.study.folder)
        assert study.load_annotations("hand_000.png")["os capitatum"].position == (5, 5)
        assert study.load_predictions("hand_001.png")["os capitatum"].position is not None
        assert "capitate" not in study.schema

    def test_a_model_from_before_still_finds_the_renamed_one(self, session, truth):
        old = LandmarkSet.from_array(session.schema, truth["hand_001.png"], Status.PREDICTED)
        SchemaEditor(session).rename("capitate", "os capitatum")
        session.study.save_predictions("hand_001.png", old)
        session.load_predictions({"hand_001.png": old})
        found = session.prediction("hand_001.png")
        np.testing.assert_allclose(found.positions(), truth["hand_001.png"], atol=1e-5)

    def test_a_taken_name_is_refused_and_loses_nothing(self, session):
        AnnotationEditor(session).place("capitate", (5, 5))
        with pytest.raises(InputError, match="twice"):
            SchemaEditor(session).rename("capitate", "thumb_tip")
        assert on_disk(session)["capitate"].position == (5, 5)

    def test_two_can_change_their_names_with_each_other_and_a_third_follow(self, session, truth):
        AnnotationEditor(session).place("thumb_tip", (1, 1))
        AnnotationEditor(session).place("index_tip", (2, 2))
        AnnotationEditor(session).place("capitate", (4, 4))
        predict(session, "hand_001.png", truth["hand_001.png"])
        before = session.prediction("hand_001.png")
        session.select_landmark("thumb_tip")
        schema = LandmarkSchema(("index_tip", "thumb_tip", "capitate", "wrist"))
        renames = {
            "thumb_tip": "index_tip",
            "index_tip": "thumb_tip",
            "middle_tip": "capitate",
            "capitate": "wrist",
        }
        SchemaEditor(session).set_schema(schema, renames=renames)
        assert session.schema == schema
        assert session.current_landmark == "index_tip"
        found = on_disk(session)
        assert found["index_tip"].position == (1, 1)
        assert found["thumb_tip"].position == (2, 2)
        assert found["wrist"].position == (4, 4)
        assert found["capitate"].status is Status.UNPLACED
        after = Study.open(session.study.folder).load_predictions("hand_001.png")
        assert {renames[name]: mark.position for name, mark in before.items()} == {
            name: mark.position for name, mark in after.items()
        }

    def test_the_name_of_a_removed_one_can_be_taken(self, session):
        AnnotationEditor(session).place("thumb_tip", (1, 1))
        AnnotationEditor(session).place("index_tip", (2, 2))
        SchemaEditor(session).set_schema(
            LandmarkSchema(("index_tip", "capitate")), renames={"thumb_tip": "index_tip"}
        )
        assert on_disk(session)["index_tip"].position == (1, 1)

    def test_a_rename_that_cannot_be_done_changes_nothing(self, session):
        AnnotationEditor(session).place("thumb_tip", (1, 1))
        (session.study.folder / "predictions").mkdir()
        (session.study.folder / "predictions" / "hand_001.png.csv").write_text("no table")
        with pytest.raises(InputError, match=r"hand_001\.png\.csv"):
            SchemaEditor(session).rename("thumb_tip", "other")
        assert Study.open(session.study.folder).schema.names == NAMES

    def test_colours_stay_when_landmarks_are_added(self, session):
        colors = ("#123456", "#ff4d4d", "#abcdef", "#3cd070")
        SchemaEditor(session).set_schema(LandmarkSchema(NAMES, colors))
        SchemaEditor(session).add("extra")
        assert session.schema.colors[:4] == colors
        merged = merged_schema(session.schema, LandmarkSchema(("thumb_tip", "new"), ("#000000", "#123456")))
        assert merged.colors[:5] == session.schema.colors
        assert len(set(merged.colors)) == 6

    def test_they_do_not_change_while_something_runs(self, session, qtbot):
        session.job = Job(JobKind.TRAIN, lambda progress, cancel: None)
        with pytest.raises(InputError, match="Training is running"):
            SchemaEditor(session).add("extra")


def test_adding_one_by_a_click_reads_no_prediction_again(session, truth, monkeypatch):
    predict(session, session.current_image, truth[session.current_image])
    AnnotationEditor(session).place("capitate", (5, 5))

    def fail(self):
        raise AssertionError("10,000 files would be read")

    monkeypatch.setattr(Study, "predictions", fail)
    session.adding = True
    AnnotationEditor(session).place_next((9, 9))
    assert session.result()["landmark 5"].position == (9, 9)
    assert session.prediction().schema == session.schema
    np.testing.assert_allclose(
        session.prediction().positions()[: len(NAMES)], truth[session.current_image], atol=1e-5
    )
    assert session.result()["capitate"].position == (5, 5)
