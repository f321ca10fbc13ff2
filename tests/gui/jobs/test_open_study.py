"""Opening a study, and the message where that is not possible."""

from __future__ import annotations

import threading

import nibabel as nib
import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.open_study import open_job, read_cohort, reread_job
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.session.prepared_study import PreparedStudy

from ..conftest import NAMES, on_disk


def test_a_study_that_is_none_is_told(qtbot, tmp_path):
    viewer = ViewerModel()
    session = get_session(viewer)
    heard = []
    session.message.connect(lambda kind, text: heard.append((kind, text)))
    session.run(open_job(session, tmp_path))
    qtbot.waitUntil(lambda: session.job is None, timeout=10_000)
    assert heard[0][0] == "error"
    assert "is not a study" in heard[0][1]


def test_images_that_are_nowhere_are_told(qtbot, tmp_path):
    viewer = ViewerModel()
    session = get_session(viewer)
    heard = []
    session.message.connect(lambda kind, text: heard.append((kind, text)))
    study = Study.create(tmp_path / "study", schema=LandmarkSchema(NAMES), images=tmp_path / "a" / "images")
    (tmp_path / "deep").mkdir()
    moved = study.folder.rename(tmp_path / "deep" / "study")
    session.run(open_job(session, moved))
    qtbot.waitUntil(lambda: session.job is None, timeout=10_000)
    (kind, text), *_ = heard
    assert kind == "error"
    places = f"not in {tmp_path / 'deep' / 'a' / 'images'} nor {tmp_path / 'a' / 'images'};"
    assert places in text
    assert "New study…" in text


def test_files_are_read_beside_the_main_thread(qtbot, study, cohort, truth, monkeypatch):
    """Those of 10,000 images take seconds."""
    name = "hand_001.png"
    marks = LandmarkSet.from_array(study.schema, truth[name], Status.PREDICTED)
    study.save_predictions(name, marks, cohort.geometry(cohort.index(name)))
    study.save_annotations("hand_002.png", LandmarkSet.from_array(study.schema, truth["hand_002.png"]))
    threads, read, read_image = [], Study._read, Cohort.read

    def noted(function):
        def call(*args):
            threads.append(threading.current_thread())
            return function(*args)

        return call

    monkeypatch.setattr(Study, "_read", noted(read))
    monkeypatch.setattr(Cohort, "read", noted(read_image))
    session = get_session(ViewerModel())
    session.run(open_job(session, study.folder))
    qtbot.waitUntil(lambda: session.job is None, timeout=10_000)
    assert session.require_store().state(name) == "predicted"
    assert session.require_store().state("hand_002.png") == "annotated"
    assert len(threads) >= 3
    assert threading.main_thread() not in threads
    session.close()


def test_what_is_placed_while_the_study_is_read_again_is_kept(qtbot, session, monkeypatch):
    read, go = PreparedStudy.read, threading.Event()

    def slow(*args, **how):
        prepared = read(*args, **how)
        go.wait(10)
        return prepared

    monkeypatch.setattr(PreparedStudy, "read", slow)
    job = reread_job(session)
    with qtbot.waitSignal(job.progressed):
        session.run(job)
    editor = AnnotationEditor(session)
    editor.place("capitate", (5, 5))
    qtbot.wait(300)  # all files are read by now, this click's may be among them or not
    editor.place("thumb_tip", (6, 6))
    go.set()
    qtbot.waitUntil(lambda: session.job is None, timeout=10_000)
    editor.place("index_tip", (7, 7))
    for marks in (session.annotation(), on_disk(session)):
        assert [marks[name].position for name in NAMES] == [(6, 6), (7, 7), None, (5, 5)]
    assert session.study.template == session.current_image


@pytest.mark.parametrize(
    ("selected", "picture", "volume"), [(384, 384, 64), (768, 768, 128), (1024, 1024, 192), (128, 128, 128)]
)
def test_a_working_size_of_pictures_is_not_that_of_volumes(tmp_path, selected, picture, volume):
    (tmp_path / "pictures").mkdir()
    Image.fromarray(np.zeros((64, 2048), np.uint8)).save(tmp_path / "pictures" / "a.png")
    (tmp_path / "volumes").mkdir()
    nib.save(nib.Nifti1Image(np.zeros((400, 4, 4), np.float32), np.eye(4)), tmp_path / "volumes" / "a.nii")
    preferences = Preferences(working_size=selected, cache=tmp_path / "cache")
    for name, expected in (("pictures", picture), ("volumes", volume)):
        study = Study.create(tmp_path / f"of {name}", schema=LandmarkSchema(NAMES), images=tmp_path / name)
        assert max(read_cohort(study, preferences).canvas) == expected
