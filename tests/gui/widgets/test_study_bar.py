"""First steps without a study, and buttons to add images and to copy a log."""

from __future__ import annotations

import shutil

import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.widgets.study_bar import StudyBar
from napari_landmark.synthetic import sample


@pytest.fixture
def bar(viewer, qtbot):
    bar = StudyBar(viewer, get_session(viewer))
    qtbot.addWidget(bar)
    bar.show()
    return bar


def test_an_empty_viewer_says_what_to_do_in_three_lines_with_buttons(qtbot, study, cohort):
    viewer = ViewerModel()
    session = get_session(viewer)
    bar = StudyBar(viewer, session)
    qtbot.addWidget(bar)
    bar.resize(390, 300)
    bar.show()
    buttons = [bar.sample, bar.new, bar.open]
    rows = [button.mapTo(bar, button.rect().center()).y() for button in buttons]
    assert all(button.isVisible() for button in buttons)
    assert rows == sorted(rows)
    for button, note in zip(buttons, bar.first.notes, strict=True):
        assert note.isVisible() and note.text()
        top = note.mapTo(bar, note.rect().topLeft()).y()
        assert top <= button.mapTo(bar, button.rect().center()).y() <= top + note.height()
    assert not bar.add.isEnabled()
    session.open(study, cohort)
    assert not any(button.isVisible() for button in buttons)
    texts = [action.text() for action in bar.commands.menu().actions() if action.text()]
    assert texts == ["New study…", "Open study…", "Recent studies", "Add images", "Copy a log for a report"]
    assert bar.add.isEnabled()
    session.close()


def test_the_first_steps_go_where_a_step_needs_no_study(qtbot):
    bar = StudyBar(ViewerModel(), get_session(ViewerModel()))
    qtbot.addWidget(bar)
    bar.show()
    bar.set_step(asks_for_study=False, shows_training=True)
    assert not bar.first.isVisible() and bar.commands.isVisible()
    bar.set_step(asks_for_study=True, shows_training=True)
    assert bar.first.isVisible()


def test_a_long_name_of_a_study_does_not_widen_the_header(bar, qtbot):
    least = bar.minimumSizeHint().width()
    bar.title.setText(
        "<b>Lateral cephalograms of the orthodontic department, spring and summer, second reading</b>"
    )
    assert bar.minimumSizeHint().width() == least


def test_files_and_folders_are_chosen_and_added(bar, hands, qtbot, tmp_path, monkeypatch):
    session, more = bar.session, tmp_path / "more"
    more.mkdir()
    for number in (2, 3):
        shutil.copy(hands[0] / f"hand_00{number}.png", more / f"new {number}.png")
    texts = [action.text() for action in bar.add.actions()]
    chosen = ([str(more / "new 2.png")], "")
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", staticmethod(lambda *_: chosen))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", staticmethod(lambda *_: str(more)))
    for text, count in (("Image files…", 5), ("All images of a folder…", 6)):
        bar.add.actions()[texts.index(text)].trigger()
        qtbot.waitUntil(
            lambda count=count: session.job is None and len(session.names) == count, timeout=20_000
        )
    assert session.names[4:] == ("new 2.png", "new 3.png")
    heard = []
    session.message.connect(lambda kind, text: heard.append(text))
    bar.add.actions()[2].trigger()
    qtbot.waitUntil(lambda: session.job is None and bool(heard), timeout=20_000)
    assert heard == ["4 images in the study already."]


def test_nothing_is_added_during_other_work(bar, known_registration, hands):
    heard = []
    bar.session.message.connect(lambda kind, text: heard.append((kind, text)))
    bar.add_images([hands[0]])
    bar.add_images([hands[0]])
    assert heard[0][0] == "error"
    assert "is still running" in heard[0][1]
    assert not bar.add.isEnabled()


def test_sample_data_are_drawn_beside_the_main_thread(qtbot, monkeypatch):
    monkeypatch.setattr(sample, "TRAINING_IMAGES", 2)
    monkeypatch.setattr(sample, "HELD_OUT_IMAGES", 1)
    viewer, opened, asked = ViewerModel(), [], []
    session = get_session(viewer)
    bar = StudyBar(viewer, session)
    qtbot.addWidget(bar)
    monkeypatch.setattr(type(viewer), "open_sample", lambda self, *which: opened.append(which), raising=False)
    monkeypatch.setattr(bar, "_on_new", lambda: asked.append(True))
    bar.sample.click()
    assert session.job is not None
    qtbot.waitUntil(lambda: bool(asked), timeout=30_000)
    assert opened == [("napari-landmark", "hands")]
    session.close()


def test_a_log_is_copied(bar):
    bar.commands.menu().actions()[-1].trigger()
    text = QApplication.clipboard().text()
    assert "napari-landmark" in text
    assert "study: 4 images of 2 axes" in text
    assert "hand_000" not in text
