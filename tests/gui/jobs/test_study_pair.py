"""Two images of the study, read for their registration."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.errors import InputError
from napari_landmark.gui.jobs.study_pair import study_pair_job, usual_label_folder
from napari_landmark.gui.session.annotation_editor import AnnotationEditor

from ..conftest import NAMES

FIXED, MOVING = "hand_000.png", "hand_001.png"


def read(session, qtbot, *names, **how):
    found, told = [], []
    session.message.connect(lambda kind, text: told.append((kind, text)))
    job = study_pair_job(session, *names, **how)
    job.succeeded.connect(found.append)
    session.run(job)
    qtbot.waitUntil(lambda: session.job is None and bool(found or told), timeout=10_000)
    return found[0] if found else told[0]


def place(session, name):
    session.show(name)
    AnnotationEditor(session).place(NAMES[0], (20.0, 30.0))


@pytest.fixture
def maps(tmp_path, session):
    folder = tmp_path / "maps"
    folder.mkdir()
    for name, label in ((FIXED, 1), (MOVING, 2)):
        Image.fromarray(np.full(session.geometry(name).shape, label, np.uint8)).save(folder / name)
    return folder


def test_with_label_maps_and_landmarks(session, qtbot, maps):
    place(session, FIXED)
    place(session, MOVING)
    fixed, moving = read(session, qtbot, FIXED, MOVING, labels=maps)
    assert (fixed.image.name, moving.image.name) == (FIXED, MOVING)
    assert fixed.image.array.shape == session.geometry(FIXED).shape
    assert (set(np.unique(fixed.labels)), set(np.unique(moving.labels))) == ({1}, {2})
    assert moving.landmarks[NAMES[0]].position == (20.0, 30.0)


def test_landmarks_of_one_image_alone_are_left_out(session, qtbot):
    place(session, FIXED)
    fixed, moving = read(session, qtbot, FIXED, MOVING)
    assert fixed.landmarks is moving.landmarks is fixed.labels is None


def test_what_cannot_be_is_said(session, qtbot, tmp_path):
    with pytest.raises(InputError, match="fixed and as moving"):
        study_pair_job(session, FIXED, FIXED)
    (tmp_path / "empty").mkdir()
    kind, text = read(session, qtbot, FIXED, MOVING, labels=tmp_path / "empty")
    assert kind == "error"
    assert "no label maps of hand_000.png and hand_001.png" in text


def test_label_maps_beside_the_images(tmp_path):
    (tmp_path / "images").mkdir()
    assert usual_label_folder(tmp_path / "images") is None
    (tmp_path / "masks").mkdir()
    assert usual_label_folder(tmp_path / "images") == tmp_path / "masks"
