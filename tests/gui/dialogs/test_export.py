"""Landmarks of one image or all of them, in the formats of other programs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QDialog, QFileDialog, QMessageBox

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.image_state import ImageState
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.data.study.provenance import sha256
from napari_landmark.data.subjects import image_of_subject, subject_name
from napari_landmark.gui.dialogs.export import ExportButton, export
from napari_landmark.gui.session.annotation_editor import AnnotationEditor

from ..conftest import predict


class TestExport:
    @pytest.mark.parametrize("suffix", [".csv", ".tps", ".json"])
    def test_all_images_that_have_landmarks(self, session, truth, tmp_path, suffix):
        for name in session.names[:2]:
            predict(session, name, truth[name])
        assert export(session, tmp_path / f"out{suffix}", suffix=suffix, whole=True) == 2
        geometries = {name: session.geometry(name) for name in session.names}
        found = read_landmarks(tmp_path / f"out{suffix}", geometries=geometries)
        assert set(found) == set(session.names[:2])
        np.testing.assert_allclose(
            found["hand_001.png"].positions(),  # TPS has the order only, no names
            truth["hand_001.png"],
            atol=1e-3,
        )
        record = json.loads((tmp_path / f"out{suffix}.run.json").read_text())
        assert record["command"] == "export"
        assert record["landmarks"] == {"predicted": 2 * len(session.schema)}
        assert record["sha256"] == sha256(tmp_path / f"out{suffix}")
        assert str(tmp_path) not in json.dumps(record)

    def test_formats_of_one_image_make_a_folder(self, session, truth, tmp_path, qtbot):
        session.study.update(spacing=0.5)
        from napari_landmark.gui.jobs.open_study import reread_job

        session.run(reread_job(session))
        qtbot.waitUntil(lambda: session.job is None, timeout=20_000)
        for name in session.names[:2]:
            predict(session, name, truth[name])
        assert export(session, tmp_path / "out", suffix=".mrk.json", whole=True) == 2
        written = list((tmp_path / "out").glob("*.mrk.json"))
        assert len(written) == 2
        record = json.loads((tmp_path / "out" / "all.mrk.json.run.json").read_text())
        assert record["sha256"] == {path.name: sha256(path) for path in written}

    def test_nothing_to_export_is_said(self, session, tmp_path):
        with pytest.raises(InputError, match="nothing to export"):
            export(session, tmp_path / "out.csv", suffix=".csv", whole=True)

    @pytest.mark.parametrize("suffix", [".csv", ".json", ".tps"])
    def test_further_subjects_have_rows_of_their_own(self, session, truth, tmp_path, suffix):
        first, second = session.names[:2]
        beside = truth[first] + (0, 3)
        predict(session, first, truth[first], image_state=ImageState.SEVERAL, further=(beside,))
        predict(session, second, truth[second])
        for whole, images in ((True, 2), (False, 1)):
            out = tmp_path / f"{whole}{suffix}"
            assert export(session, out, suffix=suffix, whole=whole) == images
            geometries = {name: session.geometry(image_of_subject(name)) for name in (first, second)}
            geometries[subject_name(first, 2)] = session.geometry(first)
            found = read_landmarks(out, geometries=geometries)
            assert len(found) == images + 1
            np.testing.assert_allclose(found[subject_name(first, 2)].positions(), beside, atol=1e-3)
            np.testing.assert_allclose(found[first].positions(), truth[first], atol=1e-3)
            record = json.loads((tmp_path / f"{whole}{suffix}.run.json").read_text())
            assert record["images"]["count"] == images
        session.require_store().decide(first, ImageDecision.LEFT_OUT)
        assert export(session, tmp_path / f"left{suffix}", suffix=suffix, whole=True) == 1
        assert len(read_landmarks(tmp_path / f"left{suffix}", geometries=geometries)) == 1


def test_images_that_nobody_reviewed_can_be_left_out(session, truth, tmp_path):
    for name in session.names[:2]:
        predict(session, name, truth[name])
    session.show(session.names[1])
    AnnotationEditor(session).accept()
    path = tmp_path / "out.csv"
    assert export(session, path, suffix=".csv", whole=True, reviewed_only=True) == 1
    assert set(read_landmarks(path)) == {session.names[1]}


@pytest.mark.parametrize(
    ("pressed", "expected"), [("Export all", 2), ("Reviewed images only", 1), ("Cancel", 0)]
)
def test_it_asks_what_to_do_with_images_that_nobody_reviewed(
    session, truth, tmp_path, qtbot, monkeypatch, pressed, expected
):
    for name in session.names[:2]:
        predict(session, name, truth[name])
    session.show(session.names[1])
    AnnotationEditor(session).accept()
    button, path = ExportButton(session), tmp_path / "out.csv"
    qtbot.addWidget(button)
    told = []

    def press(box):
        told.append(box.text())
        chosen = next(one for one in box.buttons() if one.text().replace("&", "") == pressed)
        QTimer.singleShot(0, chosen.click)
        return QDialog.exec(box)

    monkeypatch.setattr(QMessageBox, "exec", press)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    button._on_export(".csv", True)
    assert told == ["3 of 4 images have predictions or landmarks that nobody has reviewed."]
    assert (len(read_landmarks(path)) if path.exists() else 0) == expected
