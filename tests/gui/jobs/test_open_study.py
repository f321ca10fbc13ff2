"""Opening a study, and the message where that is not possible."""

from __future__ import annotations

import threading

import nibabel as nib
import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image

from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.gui.jobs.open_study import open_job, read_cohort
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.preferences import Preferences

from ..conftest import NAMES


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


def test_predictions_are_read_beside_the_main_thread(qtbot, study, cohort, truth, monkeypatch):
    """Those of 10,000 images take seconds."""
    name = "hand_001.png"
    marks = LandmarkSet.from_array(study.schema, truth[name], Status.PREDICTED)
    study.save_predictions(name, marks, cohort.geometry(cohort.index(name)))
    threads, read = [], Study.predictions

    def predictions(self):
        threads.append(threading.current_thread())
        return read(self)

    monkeypatch.setattr(Study, "predictions", predictions)
    session = get_session(ViewerModel())
    session.run(open_job(session, study.folder))
    qtbot.waitUntil(lambda: session.job is None, timeout=10_000)
    assert session.require_store().state(name) == "predicted"
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
    session.close()


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
