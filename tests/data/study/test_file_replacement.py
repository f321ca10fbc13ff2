"""Files of a study change together, whenever the program ends."""

from __future__ import annotations

from pathlib import PurePath

import pytest

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.data.study import file_replacement
from napari_landmark.data.study.file_replacement import FileReplacement, finish_replacement, is_replacing
from napari_landmark.data.study.lock import ANNOTATING, StudyLock
from napari_landmark.data.study.schema_migration import change_schema
from napari_landmark.data.study.study import Study
from napari_landmark.progress import Cancelled, CancelToken

SCHEMA = LandmarkSchema(("a", "b"))
RENAMED = LandmarkSchema(("A", "b"))
IMAGES = ("1.png", "2.png", "3.png")


class ProgramEnded(BaseException):
    """What no code may catch, as the end of the program."""


@pytest.fixture
def study(tmp_path):
    made = Study.create(tmp_path / "study", schema=SCHEMA)
    for number, image in enumerate(IMAGES):
        made.save_annotations(image, LandmarkSet.from_array(SCHEMA, [(number, 1), (number, 2)]))
        made.save_predictions(image, LandmarkSet.from_array(SCHEMA, [(number, 3), (number, 4)], "predicted"))
    return made


def content(study):
    """Names and positions of everything in a study that is opened anew, without its leftovers."""
    again = Study.open(study.folder)
    assert not is_replacing(study.folder)
    return again.schema.names, {
        (kind, image): {name: mark.position for name, mark in marks.items()}
        for kind, sets in (("annotation", again.annotations()), ("prediction", again.predictions()))
        for image, marks in sets.items()
    }


def expected(names):
    first, second = names
    found = {}
    for number, image in enumerate(IMAGES):
        found["annotation", image] = {first: (number, 1), second: (number, 2)}
        found["prediction", image] = {first: (number, 3), second: (number, 4)}
    return names, found


def end_at(monkeypatch, call):
    """End the program at that call of the renames of files and folders; returns the number of calls so far."""
    calls, rename = [], file_replacement.replace_file

    def replace_file(source, target):
        if len(calls) == call:
            raise ProgramEnded
        calls.append(target)
        rename(source, target)

    monkeypatch.setattr(file_replacement, "replace_file", replace_file)
    return calls


@pytest.mark.parametrize("call", range(9))  # the decision, seven files, and none
def test_a_program_that_ends_leaves_the_old_or_the_new(study, monkeypatch, call):
    with monkeypatch.context() as patch:
        end_at(patch, call)
        try:
            change_schema(study, RENAMED, renames={"a": "A"})
        except ProgramEnded:
            assert call < 8
        else:
            assert call == 8
    assert content(study) == expected(("a", "b") if call == 0 else ("A", "b"))


def test_a_cancelled_renaming_changes_nothing(study):
    cancel, seen = CancelToken(), []

    def progress(event):
        seen.append(event.stage)
        if event.stage == "writing to the disk" and event.step == 3:
            cancel.cancel()

    with pytest.raises(Cancelled):
        change_schema(study, RENAMED, renames={"a": "A"}, progress=progress, cancel=cancel)
    assert set(seen) == {"renaming", "writing to the disk"}
    assert study.schema == SCHEMA
    assert content(study) == expected(("a", "b"))
    assert not (study.folder / "renaming.part").exists()


def test_a_full_disk_changes_nothing(study, monkeypatch):
    def fail(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(file_replacement.os, "fsync", fail)
        with pytest.raises(InputError, match="free some space"):
            change_schema(study, RENAMED, renames={"a": "A"})
    assert study.schema == SCHEMA
    assert content(study) == expected(("a", "b"))


def test_it_waits_for_the_program_that_is_at_it(study, monkeypatch):
    with monkeypatch.context() as patch:
        end_at(patch, 4)
        with pytest.raises(ProgramEnded):
            change_schema(study, RENAMED, renames={"a": "A"})
    # Nothing may be written meanwhile that the rest of the files would replace.
    with pytest.raises(InputError, match="open the study again"):
        study.save_annotations(IMAGES[0], LandmarkSet.from_array(SCHEMA, [(8, 8), (9, 9)]))
    with pytest.raises(InputError, match="open the study again"):
        study.update(template=IMAGES[0])
    assert content(study) == expected(("A", "b"))


def test_leftovers_are_no_part_of_the_next_one(study):
    with StudyLock(study.folder, ANNOTATING):
        FileReplacement(study.folder).add(
            PurePath("annotations", "9.png.csv"), b"left by a program that ended"
        )
        with FileReplacement(study.folder) as files:
            files.add(PurePath("annotations", "new.csv"), b"image,landmark,x,y\nnew,a,1,2\n")
            files.commit()
    assert not (study.folder / "annotations" / "9.png.csv").exists()
    assert Study.open(study.folder).load_annotations("new")["a"].position == (2, 1)
    finish_replacement(study.folder)  # nothing to do


def test_a_removed_landmark_stays_in_the_files(study):
    study.update(schema=LandmarkSchema(("a",)))
    change_schema(study, LandmarkSchema(("A",)), renames={"a": "A"})
    study.update(schema=RENAMED)
    assert study.load_annotations(IMAGES[1])["b"].position == (1, 2)
    assert dict(study.recorded_annotations())[IMAGES[1]]["A"].position == (1, 1)
