"""Changes of an annotation are saved at once, can be undone, and are never overwritten by a model."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status, check_inside
from napari_landmark.data.study.study import Study
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.schema_editor import SchemaEditor

from ..conftest import NAMES, on_disk, predict


class TestPlacing:
    def test_it_is_on_the_disk_at_once(self, session):
        AnnotationEditor(session).place_next((10.0, 12.5))
        assert on_disk(session)["thumb_tip"] == Landmark("thumb_tip", (10.0, 12.5), Status.PLACED)

    def test_it_goes_on_to_the_next_open_name(self, session):
        session.select_landmark("index_tip")
        AnnotationEditor(session).place_next((5, 5))
        assert session.current_landmark == "middle_tip"
        session.select_landmark("capitate")
        AnnotationEditor(session).place_next((6, 6))
        assert session.current_landmark == "thumb_tip"  # around the end

    def test_the_first_annotated_image_becomes_the_template(self, session):
        session.step(2)
        AnnotationEditor(session).place_next((5, 5))
        assert Study.open(session.study.folder).template == "hand_002.png"

    def test_outside_the_image_is_refused_and_changes_nothing(self, session):
        with pytest.raises(InputError, match="outside the image"):
            AnnotationEditor(session).place_next((-20, 5))
        assert on_disk(session).ndim is None

    def test_beyond_the_last_landmark_is_refused(self, session):
        for row in range(len(NAMES)):
            AnnotationEditor(session).place_next((row + 5, 5))
        with pytest.raises(InputError, match="drag a point"):
            AnnotationEditor(session).place_next((9, 9))

    def test_beyond_the_last_landmark_defines_a_new_one_where_that_is_wanted(self, session):
        session.adding = True
        for row in range(len(NAMES) + 1):
            AnnotationEditor(session).place_next((row + 5, 5))
        assert session.schema.names[-1] == "landmark 5"
        assert on_disk(session)["landmark 5"].position == (9, 5)


class TestStates:
    def test_a_missing_landmark_stays_missing_when_a_model_finds_it(self, session, truth):
        AnnotationEditor(session).mark_missing("capitate")
        predict(session, session.current_image, truth[session.current_image])
        assert session.result()["capitate"].status is Status.MISSING
        assert session.result()["index_tip"].status is Status.PREDICTED

    def test_a_moved_prediction_is_corrected_and_survives_the_next_detection(self, session, truth):
        predict(session, session.current_image, truth[session.current_image])
        AnnotationEditor(session).place("index_tip", (30, 31))
        predict(session, session.current_image, truth[session.current_image] + 1)
        mark = session.result()["index_tip"]
        assert (mark.status, mark.position) == (Status.CORRECTED, (30, 31))

    def test_deleting_a_placed_one_opens_it_again(self, session):
        AnnotationEditor(session).place("capitate", (5, 5))
        AnnotationEditor(session).remove("capitate")
        assert session.result()["capitate"].status is Status.UNPLACED

    def test_deleting_a_predicted_one_stays_deleted(self, session, truth):
        predict(session, session.current_image, truth[session.current_image])
        AnnotationEditor(session).remove("capitate")
        predict(session, session.current_image, truth[session.current_image])
        assert session.result()["capitate"].status is Status.MISSING

    def test_back_to_the_prediction(self, session, truth):
        predict(session, session.current_image, truth[session.current_image])
        AnnotationEditor(session).place("capitate", (5, 5))
        AnnotationEditor(session).clear("capitate")
        assert session.result()["capitate"].status is Status.PREDICTED

    def test_accepting_turns_predictions_into_annotations(self, session, truth):
        predict(session, session.current_image, truth[session.current_image])
        AnnotationEditor(session).place("thumb_tip", (5, 5))
        assert AnnotationEditor(session).accept() == 3
        states = [mark.status for mark in on_disk(session).values()]
        assert states == [Status.CORRECTED, Status.PLACED, Status.PLACED, Status.PLACED]
        assert AnnotationEditor(session).accept() == 0

    def test_what_is_accepted_lies_on_the_image(self, session, truth):
        height, width = session.geometry().shape
        positions = truth[session.current_image].copy()
        positions[0] = (-0.8, 5)
        positions[1] = (height + 1, width + 2)
        predict(session, session.current_image, positions)
        AnnotationEditor(session).accept()
        assert on_disk(session)["thumb_tip"].position == (-0.5, 5)
        assert on_disk(session)["index_tip"].position == (height - 0.5, width - 0.5)
        assert session.geometry().contains(on_disk(session).positions()).all()


class TestImport:
    def test_landmarks_from_elsewhere_leave_the_others_alone(self, session):
        AnnotationEditor(session).place("capitate", (5, 5))
        found = LandmarkSet(session.schema, [Landmark("thumb_tip", (7, 7), Status.PREDICTED)])
        AnnotationEditor(session).import_landmarks(found, "Import")
        assert on_disk(session)["thumb_tip"].status is Status.PLACED
        assert on_disk(session)["capitate"].position == (5, 5)

    @pytest.mark.parametrize(
        ("position", "reason"), [((7, 7, 7), "3 coordinates"), ((7, 9000), r"at \(9000, 7\) lies outside")]
    )
    def test_landmarks_that_do_not_lie_on_the_image_are_refused(self, session, position, reason):
        found = [Landmark("capitate", (5, 5), Status.PLACED), Landmark("thumb_tip", position, Status.PLACED)]
        with pytest.raises(InputError, match=f"'thumb_tip' .*{reason}"):
            check_inside(found, session.geometry(), image=session.current_image)
        with pytest.raises(InputError, match="thumb_tip"):
            AnnotationEditor(session).import_landmarks(LandmarkSet(session.schema, found[1:]), "Import")
        assert session.result().ndim is None
        assert on_disk(session).ndim is None
        assert session.study.template == ""


class TestUndo:
    def test_back_and_forth(self, session):
        AnnotationEditor(session).place_next((5, 5))
        AnnotationEditor(session).place_next((6, 6))
        AnnotationEditor(session).undo()
        assert on_disk(session).positions()[1:].tolist() != [[6, 6]]
        assert on_disk(session)["index_tip"].status is Status.UNPLACED
        assert session.current_landmark == "index_tip"
        AnnotationEditor(session).redo()
        assert on_disk(session)["index_tip"].position == (6, 6)
        AnnotationEditor(session).undo()
        AnnotationEditor(session).undo()
        AnnotationEditor(session).undo()  # nothing left: no harm
        assert on_disk(session).ndim is None

    def test_it_goes_back_to_the_image_where_the_change_was_made(self, session):
        AnnotationEditor(session).place("capitate", (5, 5))
        session.step(1)
        AnnotationEditor(session).undo()
        assert session.current_image == "hand_000.png"
        assert session.result()["capitate"].status is Status.UNPLACED

    def test_what_could_not_be_saved_can_be_undone_again(self, session, monkeypatch):
        editor = AnnotationEditor(session)
        editor.place_next((5, 5))

        def fail(*_):
            raise InputError("the disk is full")

        with monkeypatch.context() as full:
            full.setattr(session.study, "save_annotations", fail)
            with pytest.raises(InputError, match="full"):
                editor.undo()
        assert on_disk(session)["thumb_tip"].position == (5, 5)
        assert session.result()["thumb_tip"].position == (5, 5)
        editor.undo()
        assert on_disk(session).ndim is None
        with monkeypatch.context() as full:
            full.setattr(session.study, "save_annotations", fail)
            with pytest.raises(InputError, match="full"):
                editor.redo()
        editor.redo()
        assert on_disk(session)["thumb_tip"].position == (5, 5)

    def test_it_survives_new_landmarks(self, session):
        AnnotationEditor(session).place("capitate", (5, 5))
        SchemaEditor(session).add("extra")
        AnnotationEditor(session).undo()
        assert session.result()["capitate"].status is Status.UNPLACED

    def test_a_new_change_ends_redoing(self, session):
        AnnotationEditor(session).place("capitate", (5, 5))
        AnnotationEditor(session).undo()
        AnnotationEditor(session).place("thumb_tip", (6, 6))
        AnnotationEditor(session).redo()
        assert session.result()["capitate"].status is Status.UNPLACED


def test_a_landmark_that_a_model_calls_missing_can_be_placed(session, truth):
    name, first = session.current_image, session.schema.names[0]
    positions = truth[name].copy()
    positions[0] = np.nan
    predict(session, name, positions)
    absent = session.prediction().with_landmark(Landmark(first, None, Status.PREDICTED_MISSING, 0.8))
    session.study.save_predictions(name, absent, session.geometry())
    session.load_predictions({name: absent})
    assert session.result()[first].status is Status.PREDICTED_MISSING
    editor = AnnotationEditor(session)
    session.select_landmark(first)
    editor.place_next((12.0, 13.0))
    assert session.result()[first].position == (12.0, 13.0)
    assert session.result()[first].status.is_manual
    editor.clear(first)
    assert session.result()[first].status is Status.PREDICTED_MISSING


def test_what_a_model_calls_missing_is_not_imported_as_an_annotation(session):
    first = session.schema.names[0]
    marks = LandmarkSet(session.schema, [Landmark(first, None, Status.PREDICTED_MISSING, 0.8)])
    AnnotationEditor(session).import_landmarks(marks, "Import")
    assert not session.annotation()[first].status.is_manual


def test_undo_takes_back_a_landmark_that_the_click_defined_and_redo_brings_it_again(session):
    session.adding = True
    editor = AnnotationEditor(session)
    for number, name in enumerate(session.schema.names):
        editor.place(name, (10, 10 + number))
    before = session.schema
    editor.place_next((20, 20))
    added = session.schema.names[-1]
    assert added not in before
    editor.undo()
    assert session.schema == before
    assert session.study.schema.names == on_disk(session).schema.names == before.names
    editor.redo()
    assert session.schema.names == (*before.names, added)
    assert on_disk(session)[added].position == (20, 20)


def test_a_defined_landmark_stays_where_a_model_found_it(session, truth):
    session.adding = True
    editor = AnnotationEditor(session)
    for number, name in enumerate(session.schema.names):
        editor.place(name, (10, 10 + number))
    editor.place_next((20, 20))
    added, other = session.schema.names[-1], session.names[1]
    predict(session, other, np.vstack([truth[other], (8.0, 9.0)]))
    editor.undo()
    assert added in session.schema
    assert session.result()[added].status is Status.UNPLACED
    assert session.prediction(other)[added].position == (8.0, 9.0)


def test_a_click_beside_the_image_defines_no_landmark(session):
    session.adding = True
    editor = AnnotationEditor(session)
    for number, name in enumerate(session.schema.names):
        editor.place(name, (10, 10 + number))
    before = session.schema
    with pytest.raises(InputError, match="outside the image"):
        editor.place_next((-50, 20))
    assert session.schema == before
