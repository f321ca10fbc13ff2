"""The log of a report tells what happened, and no names."""

from __future__ import annotations

import gc
import logging
import shutil
import weakref

import pytest

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import read_image
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.study import Study
from napari_landmark.gui.session.event_log import (
    HIDDEN,
    LINES,
    EventLog,
    names_of,
    own_words,
    report_text,
    without_names,
)
from napari_landmark.gui.session.session import Session

PATIENTS = ("Müller Anna 1961-03-04", "OConnor_Sean", "4711-0815", "Krüger.Jörg", "李小龍", "Rose")


@pytest.fixture
def log():
    return EventLog()


@pytest.fixture
def private(hands, tmp_path, preferences) -> Session:
    """A session whose images and folders are called after patients."""
    folder = tmp_path / "Zywicki Clinic" / "Weiß 1970"
    folder.mkdir(parents=True)
    for name in PATIENTS:
        shutil.copy(hands[0] / "hand_000.png", folder / f"{name}.png")
    study = Study.create(
        tmp_path / "Zywicki Clinic" / "study", schema=LandmarkSchema(("Sella X",)), images=folder
    )
    session = Session()
    session.open(study, Cohort.from_folder(folder, working_size=128, cache_dir=preferences.cache))
    yield session
    session.close()


def leaks(text: str) -> list[str]:
    parts = [
        *PATIENTS,
        "Zywicki",
        "Clinic",
        "Weiß",
        "1970",
        "Müller",
        "Anna",
        "1961",
        "Sean",
        "OConnor",
        "Krüger",
    ]
    parts += ["Jörg", "4711", "0815", "Mustermann", "Erika", "19640812", "/tmp", "Sella X"]
    return [part for part in parts if part.lower() in text.lower()]


def test_messages_of_the_open_study_have_no_names(log, private, tmp_path):
    log.follow(private)
    for name in (f"{patient}.png" for patient in PATIENTS):
        private.message.emit(
            "warning", f"{tmp_path / 'Zywicki Clinic' / name}: cannot be read; {name} is shown"
        )
        private.message.emit("error", f"{name}: Sella X lies outside the image")
    private.attempt(lambda: private.show("Mustermann Erika 19640812.png"))  # not of the study
    text = report_text(log, private)
    assert not leaks(text)
    assert text.count("cannot be read;") == len(PATIENTS)
    assert "outside the image" in text
    assert "study: 6 images of 2 axes" in text


def test_errors_tell_kind_and_place_only(log, tmp_path):
    path = tmp_path / "Mustermann Erika" / "19640812.png"
    logger = logging.getLogger("napari_landmark.test")
    logger.addHandler(log)
    try:
        read_image(path)
    except InputError:
        logger.exception("%s is left out", path)
    finally:
        logger.removeHandler(log)
    text = "\n".join(log.lines)
    assert not leaks(text)
    assert "is left out" in text
    assert "InputError: " in text
    assert "napari_landmark/data/images/image.py:" in text
    assert "in read_image" in text


def test_the_last_lines_are_kept(log):
    for number in range(LINES + 5):
        log.add("info", f"line {number}")
    assert len(log.lines) == LINES
    assert log.lines[0].endswith("line 5")


def test_words_and_numbers():
    assert own_words("3 images added: Smithson.dcm, 12345678.png.") == f"3 images added: {HIDDEN}"
    assert own_words("expected error 1.5 mm") == "expected error 1.5 mm"
    assert without_names("the images of study images", {"images"}) == f"the {HIDDEN} of study {HIDDEN}"


def test_without_a_study_there_are_no_names():
    assert names_of(Session()) == set()


def test_a_session_is_not_kept(log):
    session = Session()
    log.follow(session)
    session.message.emit("info", "done")
    assert len(log.lines) == 1
    gone = weakref.ref(session)
    del session
    gc.collect()
    assert gone() is None
