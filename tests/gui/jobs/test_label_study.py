"""All images of the study get label maps from a few that have one."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image
from qtpy.QtWidgets import QFileDialog

from napari_landmark.data.images.image import read_image
from napari_landmark.data.study.image_facts import ImageDecision
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.gui.widgets.register import RegisterWidget
from napari_landmark.registration.label_map import read_label_map

from ..pairs import wait


@pytest.fixture
def widget(viewer, qtbot, monkeypatch):
    """With registrations of two steps."""
    from napari_landmark.registration import options

    honest = options.PairOptions
    monkeypatch.setattr(
        options, "PairOptions", lambda **given: honest(**{**given, "steps": 2, "working_size": 64})
    )
    made = RegisterWidget(viewer)
    qtbot.addWidget(made)
    return made


@pytest.fixture
def label_maps(viewer, tmp_path):
    """Folder with the bright parts of two images."""
    session, folder = get_session(viewer), tmp_path / "maps"
    folder.mkdir()
    for name in session.names[:2]:
        array = session.cohort.read(session.cohort.index(name)).array
        Image.fromarray((array > array.mean()).astype(np.uint8)).save(folder / name)
    return folder


def choose(monkeypatch, *folders):
    """Answer the dialogs of folders in turn; an empty answer is their Cancel."""
    answers = iter(folders)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(next(answers)))


def test_all_other_images_but_those_left_out(widget, viewer, label_maps, qtbot, tmp_path, monkeypatch):
    session, told = get_session(viewer), []
    session.message.connect(lambda kind, text: told.append((kind, text)))
    left_out, *wanted = session.names[2:]
    session.study.decide(left_out, ImageDecision.LEFT_OUT)
    out = tmp_path / "labelled"
    choose(monkeypatch, label_maps, out)
    assert not widget.label_all.isHidden()
    widget.label_all.click()
    assert session.job.kind is JobKind.LABEL_STUDY
    assert not widget.label_all.isEnabled()
    wait(qtbot, viewer)
    count = "1 image" if len(wanted) == 1 else f"{len(wanted)} images"
    assert told[-1] == (
        "info",
        f"{count} labelled by the label maps of 2 images. labels.csv in the chosen folder has a row for each.",
    )
    with (out / "labels.csv").open(newline="") as stream:
        assert [row["image"] for row in csv.DictReader(stream)] == wanted
    image = read_image(session.cohort.paths[session.cohort.index(wanted[0])])
    labels = read_label_map(out / f"{wanted[0].removesuffix('.png')}.nrrd", image.geometry)
    assert (labels == (image.array > image.array.mean())).mean() > 0.8


def test_maps_of_other_images_are_refused_in_one_line(
    widget, viewer, label_maps, qtbot, tmp_path, monkeypatch
):
    session, told = get_session(viewer), []
    session.message.connect(lambda kind, text: told.append((kind, text)))
    for path in label_maps.iterdir():
        path.rename(path.with_name(f"other_{path.name}"))
    choose(monkeypatch, label_maps, tmp_path / "out")
    widget.label_all.click()
    wait(qtbot, viewer)
    assert told[-1][0] == "error"
    assert "none of its files is called like an image of the study" in told[-1][1]


@pytest.mark.parametrize("answers", [("",), ("maps", "")])
def test_a_cancelled_dialog_starts_nothing(widget, viewer, monkeypatch, answers):
    choose(monkeypatch, *answers)
    widget.label_all.click()
    assert get_session(viewer).job is None
