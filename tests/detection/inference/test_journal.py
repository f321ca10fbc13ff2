"""A journal gives back what was written to it, whatever happened to the end of the file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.detection.inference.journal import DetectionJournal, read_journal

SCHEMA = LandmarkSchema(("a", "b"))
RUN = {"model": "x", "spacing": None}


@pytest.fixture
def images(tmp_path):
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    for path in paths:
        path.write_text(path.name)
    return paths


def found(k):
    return LandmarkSet.from_array(
        SCHEMA,
        [[k, 2.25], [np.nan, np.nan]],
        status="predicted",
        confidence=[0.1 + k / 7, 0],
        expected_error=[3, 1],
        covariance=[[[4 + k / 7, 1.1], [1.1, 3]], np.eye(2)] if k else None,
    )


GEOMETRY = Geometry((9, 8), (0.1, 0.3), spacing_source="file", spacing_plane="detector plane")


@pytest.fixture
def journal(tmp_path, images):
    """Path of a journal with two images in it."""
    path = tmp_path / "out.csv.part.jsonl"
    journal = DetectionJournal(path, RUN, SCHEMA)
    for k in range(2):
        journal.add(f"{k}.png", images[k], found(k), GEOMETRY)
    journal.close()
    return path


def resumed(journal, name, image):
    """Prediction that a resumed run takes over."""
    again = DetectionJournal(journal, RUN, SCHEMA)
    again.close()
    return again.content.find(name, image)


def test_what_was_done_comes_back_exactly(journal, images):
    again = DetectionJournal(journal, RUN, SCHEMA)
    assert len(again.content.entries) == 2
    assert again.content.find("1.png", images[1]) == (found(1), GEOMETRY, Pose.upright(2))
    assert again.content.find("2.png", images[2]) is None
    again.add("2.png", images[2], found(2), GEOMETRY)
    again.close()
    assert resumed(journal, "2.png", images[2]) == (found(2), GEOMETRY, Pose.upright(2))


def test_poses_come_back_exactly(tmp_path, images):
    path = tmp_path / "out.csv.part.jsonl"
    journal = DetectionJournal(path, RUN, SCHEMA)
    pose = Pose(np.array([[0.0, 1 / 3], [1 / 3, 0.0]]), np.array([0.1, 0.0]), True)
    journal.add("0.png", images[0], found(0), GEOMETRY, pose)
    journal.close()
    assert resumed(path, "0.png", images[0])[2] == pose
    path.write_text(path.read_text().replace('"inverted": true', '"inverted": 7'))
    assert resumed(path, "0.png", images[0]) is None


def test_the_state_of_an_image_and_missing_landmarks_come_back(journal, images):
    marks = found(1).with_landmark(Landmark(SCHEMA.names[1], None, Status.PREDICTED_MISSING, 0.75))
    judged = LandmarkSet(SCHEMA, marks.values(), image_state=ImageState.DOUBTFUL)
    again = DetectionJournal(journal, RUN, SCHEMA)
    again.add("1.png", images[1], judged, GEOMETRY)
    again.close()
    assert resumed(journal, "1.png", images[1])[:2] == (judged, GEOMETRY)


def test_further_subjects_come_back_exactly_or_the_image_is_detected_again(tmp_path, images):
    path = tmp_path / "out.csv.part.jsonl"
    first, second = (LandmarkSet(SCHEMA, found(k).values(), image_state=ImageState.SEVERAL) for k in (0, 4))
    journal = DetectionJournal(path, RUN, SCHEMA)
    journal.add("0.png", images[0], first, GEOMETRY, further_subjects=(second, first))
    journal.add("1.png", images[1], found(1), GEOMETRY)
    journal.close()
    content = read_journal(path, RUN, SCHEMA)
    assert content.find("0.png", images[0])[0] == first
    assert content.further_subjects("0.png") == (second, first)
    assert content.further_subjects("1.png") == ()
    path.write_text(path.read_text().replace('"further_subjects": [[', '"further_subjects": [[7, '))
    assert resumed(path, "0.png", images[0]) is None


@pytest.mark.parametrize("lost", [1, 7, 100])
def test_a_line_that_was_cut_off_is_not_there(journal, images, lost):
    content = journal.read_bytes()
    journal.write_bytes(content[:-lost])
    again = DetectionJournal(journal, RUN, SCHEMA)
    assert again.content.find("0.png", images[0]) is not None
    assert again.content.find("1.png", images[1]) is None
    again.add("1.png", images[1], found(1), GEOMETRY)
    again.close()
    assert journal.read_bytes() == content


def test_another_model_begins_anew(journal, images):
    again = DetectionJournal(journal, {**RUN, "model": "y"}, SCHEMA)
    assert len(again.content.entries) == 0
    again.close()
    assert not journal.exists()


def test_an_image_that_changed_is_looked_at_again(journal, images):
    images[0].write_text("something else")
    assert resumed(journal, "0.png", images[0]) is None


@pytest.mark.parametrize(
    "line", ["nonsense", "[]", '{"image": "0.png"}', '{"image": "0.png", "state": 1, "found": 2}']
)
def test_spoiled_lines(journal, images, line):
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([lines[0], line, *lines[1:]]) + "\n")
    assert resumed(journal, "0.png", images[0]) is None


@pytest.mark.parametrize(
    "change", [{"found": [[1e999, 2, 0.5, 3], None]}, {"found": [None]}, {"geometry": {"shape": [1e999, 3]}}]
)
def test_spoiled_values(journal, images, change):
    lines = journal.read_text().splitlines()
    entry = json.loads(lines[1])
    for key, value in change.items():
        entry[key] = {**entry[key], **value} if isinstance(value, dict) else value
    journal.write_text("\n".join([lines[0], json.dumps(entry)]) + "\n")
    assert resumed(journal, "0.png", images[0]) is None


def test_a_skipped_image_has_a_reason_and_no_prediction(journal, images):
    again = DetectionJournal(journal, RUN, SCHEMA)
    again.skip("2.png", images[2], "is cut off")
    again.close()
    content = read_journal(journal, RUN, SCHEMA)
    assert content.find_skipped("2.png", images[2]) == "is cut off"
    assert content.find("2.png", images[2]) is None
    assert content.find_skipped("1.png", images[1]) is None
    images[2].write_text("whole again")
    assert read_journal(journal, RUN, SCHEMA).find_skipped("2.png", images[2]) is None


def test_a_skipped_image_that_was_read_later(journal, images):
    again = DetectionJournal(journal, RUN, SCHEMA)
    again.skip("2.png", images[2], "is cut off")
    again.add("2.png", images[2], found(2), GEOMETRY)
    again.close()
    content = read_journal(journal, RUN, SCHEMA)
    assert content.find("2.png", images[2]) == (found(2), GEOMETRY, Pose.upright(2))
    assert content.find_skipped("2.png", images[2]) is None


def test_reading_changes_nothing(journal, images):
    content = journal.read_bytes()
    assert len(read_journal(journal, RUN, SCHEMA).entries) == 2
    other = read_journal(journal, {**RUN, "model": "y"}, SCHEMA)
    assert other.of_another_run
    assert not other.entries
    assert journal.read_bytes() == content
    missing = read_journal(journal.with_name("missing"), RUN, SCHEMA)
    assert not missing.entries
    assert not missing.of_another_run
    assert not journal.with_name("missing").exists()


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        DetectionJournal(tmp_path / "file" / "x.jsonl", RUN, SCHEMA)
