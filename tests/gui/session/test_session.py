"""What a person says is saved at once, can be undone, and is never overwritten by a model."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status, check_inside
from napari_landmark.data.study.schema_migration import merged_schema
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.job import Job

from ..conftest import NAMES, predict


def on_disk(session, image=""):
    return Study.open(session.study.folder).load_annotations(image or session.image)


class TestPlacing:
    def test_it_is_on_the_disk_at_once(self, session):
        session.edits.place_next((10.0, 12.5))
        assert on_disk(session)["thumb_tip"] == Landmark("thumb_tip", (10.0, 12.5), Status.PLACED)

    def test_it_goes_on_to_the_next_open_name(self, session):
        session.choose("index_tip")
        session.edits.place_next((5, 5))
        assert session.landmark == "middle_tip"
        session.choose("capitate")
        session.edits.place_next((6, 6))
        assert session.landmark == "thumb_tip"  # around the end

    def test_the_first_annotated_image_becomes_the_template(self, session):
        session.step(2)
        session.edits.place_next((5, 5))
        assert Study.open(session.study.folder).template == "hand_002.png"

    def test_outside_the_image_is_refused_and_changes_nothing(self, session):
        with pytest.raises(InputError, match="outside the image"):
            session.edits.place_next((-20, 5))
        assert on_disk(session).ndim is None

    def test_beyond_the_last_landmark_is_refused(self, session):
        for row in range(len(NAMES)):
            session.edits.place_next((row + 5, 5))
        with pytest.raises(InputError, match="drag a point"):
            session.edits.place_next((9, 9))

    def test_beyond_the_last_landmark_defines_a_new_one_where_that_is_wanted(self, session):
        session.adding = True
        for row in range(len(NAMES) + 1):
            session.edits.place_next((row + 5, 5))
        assert session.schema.names[-1] == "landmark 5"
        assert on_disk(session)["landmark 5"].position == (9, 5)


class TestStates:
    def test_a_missing_landmark_stays_missing_when_a_model_finds_it(self, session, truth):
        session.edits.mark_missing("capitate")
        predict(session, session.image, truth[session.image])
        assert session.result()["capitate"].status is Status.MISSING
        assert session.result()["index_tip"].status is Status.PREDICTED

    def test_a_moved_prediction_is_corrected_and_survives_the_next_detection(self, session, truth):
        predict(session, session.image, truth[session.image])
        session.edits.place("index_tip", (30, 31))
        predict(session, session.image, truth[session.image] + 1)
        mark = session.result()["index_tip"]
        assert (mark.status, mark.position) == (Status.CORRECTED, (30, 31))

    def test_deleting_a_placed_one_opens_it_again(self, session):
        session.edits.place("capitate", (5, 5))
        session.edits.remove("capitate")
        assert session.result()["capitate"].status is Status.UNPLACED

    def test_deleting_a_predicted_one_stays_deleted(self, session, truth):
        predict(session, session.image, truth[session.image])
        session.edits.remove("capitate")
        predict(session, session.image, truth[session.image])
        assert session.result()["capitate"].status is Status.MISSING

    def test_back_to_the_prediction(self, session, truth):
        predict(session, session.image, truth[session.image])
        session.edits.place("capitate", (5, 5))
        session.edits.clear("capitate")
        assert session.result()["capitate"].status is Status.PREDICTED

    def test_accepting_makes_predictions_a_persons_word(self, session, truth):
        predict(session, session.image, truth[session.image])
        session.edits.place("thumb_tip", (5, 5))
        assert session.edits.accept() == 3
        states = [mark.status for mark in on_disk(session).values()]
        assert states == [Status.CORRECTED, Status.PLACED, Status.PLACED, Status.PLACED]
        assert session.edits.accept() == 0

    def test_what_is_accepted_lies_on_the_image(self, session, truth):
        height, width = session.geometry().shape
        positions = truth[session.image].copy()
        positions[0] = (-0.8, 5)
        positions[1] = (height + 1, width + 2)
        predict(session, session.image, positions)
        session.edits.accept()
        assert on_disk(session)["thumb_tip"].position == (-0.5, 5)
        assert on_disk(session)["index_tip"].position == (height - 0.5, width - 0.5)
        assert session.geometry().contains(on_disk(session).positions()).all()


class TestUndo:
    def test_back_and_forth(self, session):
        session.edits.place_next((5, 5))
        session.edits.place_next((6, 6))
        session.edits.undo()
        assert on_disk(session).positions()[1:].tolist() != [[6, 6]]
        assert on_disk(session)["index_tip"].status is Status.UNPLACED
        assert session.landmark == "index_tip"
        session.edits.redo()
        assert on_disk(session)["index_tip"].position == (6, 6)
        session.edits.undo()
        session.edits.undo()
        session.edits.undo()  # nothing left: no harm
        assert on_disk(session).ndim is None

    def test_it_goes_back_to_the_image_where_the_change_was_made(self, session):
        session.edits.place("capitate", (5, 5))
        session.step(1)
        session.edits.undo()
        assert session.image == "hand_000.png"
        assert session.result()["capitate"].status is Status.UNPLACED

    def test_it_survives_new_landmarks(self, session):
        session.edits.place("capitate", (5, 5))
        session.schema_edits.add("extra")
        session.edits.undo()
        assert session.result()["capitate"].status is Status.UNPLACED

    def test_a_new_change_ends_redoing(self, session):
        session.edits.place("capitate", (5, 5))
        session.edits.undo()
        session.edits.place("thumb_tip", (6, 6))
        session.edits.redo()
        assert session.result()["capitate"].status is Status.UNPLACED


class TestLandmarksOfTheStudy:
    def test_renaming_keeps_positions_everywhere(self, session, truth):
        session.edits.place("capitate", (5, 5))
        predict(session, "hand_001.png", truth["hand_001.png"])
        session.schema_edits.rename("capitate", "os capitatum")
        study = Study.open(session.study.folder)
        assert study.load_annotations("hand_000.png")["os capitatum"].position == (5, 5)
        assert study.load_predictions("hand_001.png")["os capitatum"].position is not None
        assert "capitate" not in study.schema

    def test_a_model_from_before_still_finds_the_renamed_one(self, session, truth):
        old = LandmarkSet.from_array(session.schema, truth["hand_001.png"], Status.PREDICTED)
        session.schema_edits.rename("capitate", "os capitatum")
        session.study.save_predictions("hand_001.png", old)
        session.take_predictions({"hand_001.png": old})
        found = session.prediction("hand_001.png")
        np.testing.assert_allclose(found.positions(), truth["hand_001.png"], atol=1e-5)

    def test_a_taken_name_is_refused_and_loses_nothing(self, session):
        session.edits.place("capitate", (5, 5))
        with pytest.raises(InputError, match="twice"):
            session.schema_edits.rename("capitate", "thumb_tip")
        assert on_disk(session)["capitate"].position == (5, 5)

    def test_two_can_change_their_names_with_each_other_and_a_third_follow(self, session, truth):
        session.edits.place("thumb_tip", (1, 1))
        session.edits.place("index_tip", (2, 2))
        session.edits.place("capitate", (4, 4))
        predict(session, "hand_001.png", truth["hand_001.png"])
        before = session.prediction("hand_001.png")
        session.choose("thumb_tip")
        schema = LandmarkSchema(("index_tip", "thumb_tip", "capitate", "wrist"))
        renames = {
            "thumb_tip": "index_tip",
            "index_tip": "thumb_tip",
            "middle_tip": "capitate",
            "capitate": "wrist",
        }
        session.schema_edits.set(schema, renames=renames)
        assert session.schema == schema
        assert session.landmark == "index_tip"
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
        session.edits.place("thumb_tip", (1, 1))
        session.edits.place("index_tip", (2, 2))
        session.schema_edits.set(
            LandmarkSchema(("index_tip", "capitate")), renames={"thumb_tip": "index_tip"}
        )
        assert on_disk(session)["index_tip"].position == (1, 1)

    def test_a_rename_that_cannot_be_done_changes_nothing(self, session):
        session.edits.place("thumb_tip", (1, 1))
        (session.study.folder / "predictions").mkdir()
        (session.study.folder / "predictions" / "hand_001.png.csv").write_text("no table")
        with pytest.raises(InputError, match=r"hand_001\.png\.csv"):
            session.schema_edits.rename("thumb_tip", "other")
        assert Study.open(session.study.folder).schema.names == NAMES

    def test_colours_stay_when_landmarks_are_added(self, session):
        colors = ("#123456", "#ff4d4d", "#abcdef", "#3cd070")
        session.schema_edits.set(LandmarkSchema(NAMES, colors))
        session.schema_edits.add("extra")
        assert session.schema.colors[:4] == colors
        merged = merged_schema(session.schema, LandmarkSchema(("thumb_tip", "new"), ("#000000", "#123456")))
        assert merged.colors[:5] == session.schema.colors
        assert len(set(merged.colors)) == 6

    def test_they_do_not_change_while_something_runs(self, session, qtbot):
        session.job = Job("Training", lambda progress, cancel: None)
        with pytest.raises(InputError, match="Training is running"):
            session.schema_edits.add("extra")


class TestImages:
    def test_stepping_stops_at_the_ends(self, session):
        session.step(-1)
        assert session.image == "hand_000.png"
        session.step(99)
        assert session.image == "hand_003.png"

    def test_everything_is_there_again_in_another_session(self, session, cohort, truth):
        session.edits.place("capitate", (5, 5))
        predict(session, "hand_001.png", truth["hand_001.png"])
        again = type(session)()
        again.open(Study.open(session.study.folder), cohort)
        assert again.image == "hand_000.png"  # the template
        assert again.result()["capitate"].position == (5, 5)
        np.testing.assert_allclose(again.result("hand_001.png").positions(), truth["hand_001.png"], atol=1e-5)
        again.close()

    def test_landmarks_from_elsewhere_leave_the_others_alone(self, session):
        session.edits.place("capitate", (5, 5))
        found = LandmarkSet(session.schema, [Landmark("thumb_tip", (7, 7), Status.PREDICTED)])
        session.edits.say_all(found, "Import")
        assert on_disk(session)["thumb_tip"].status is Status.PLACED
        assert on_disk(session)["capitate"].position == (5, 5)

    @pytest.mark.parametrize(
        ("position", "reason"), [((7, 7, 7), "3 coordinates"), ((7, 9000), r"at \(9000, 7\) lies outside")]
    )
    def test_landmarks_that_do_not_lie_on_the_image_are_refused(self, session, position, reason):
        found = [Landmark("capitate", (5, 5), Status.PLACED), Landmark("thumb_tip", position, Status.PLACED)]
        with pytest.raises(InputError, match=f"'thumb_tip' .*{reason}"):
            check_inside(found, session.geometry(), image=session.image)
        with pytest.raises(InputError, match="thumb_tip"):
            session.edits.say_all(LandmarkSet(session.schema, found[1:]), "Import")
        assert session.result().ndim is None
        assert on_disk(session).ndim is None
        assert session.study.template == ""

    def test_what_cannot_be_done_is_told(self, session, messages):
        session.attempt(lambda: session.show("nothing.png"))
        assert messages[0][0] == "error"
        assert "no such image" in messages[0][1]
