"""Bar and dialogs of blind readings."""

from __future__ import annotations

import pytest

from napari_landmark.gui.dialogs.new_curve import NewCurveDialog
from napari_landmark.gui.dialogs.reading import AgreementDialog, BeginReadingDialog
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.widgets.reading_bar import ReadingBar

from ..conftest import NAMES


@pytest.fixture
def bar(session, qtbot, truth) -> ReadingBar:
    for name in session.names[:2]:
        session.show(name)
        for landmark, position in zip(NAMES, truth[name], strict=True):
            AnnotationEditor(session).place(landmark, position)
    bar = ReadingBar(session)
    qtbot.addWidget(bar)
    return bar


def test_a_reading_from_begin_to_end(bar, session, qtbot):
    shown = []
    assert bar.begin.isVisibleTo(bar)
    bar.start("Anna", seed=1)
    qtbot.waitUntil(lambda: session.job is None and session.study.reader == "Anna", timeout=30_000)
    assert not bar.begin.isVisibleTo(bar)
    assert "0 of 2 images read" in bar.state.text()
    assert not bar.finish.isEnabled()
    for name in session.names:
        session.show(name)
        for landmark in NAMES:
            AnnotationEditor(session).place(landmark, (9.0, 9.0))
    assert "2 of 2 images read" in bar.state.text()
    bar._on_finished = shown.append
    bar.finish.click()
    qtbot.waitUntil(lambda: bool(shown), timeout=30_000)
    assert session.study.reader == ""
    dialog = AgreementDialog(shown[0])
    qtbot.addWidget(dialog)
    assert [dialog.table.item(row, 0).text() for row in range(4)] == list(NAMES)
    assert dialog.table.item(0, 1).text() == "2"


def test_unfinished_readings_are_offered(qtbot):
    dialog = BeginReadingDialog(12, ["Anna"])
    qtbot.addWidget(dialog)
    assert dialog.name == "Anna"
    assert not dialog.count.isEnabled()
    dialog.reader.setCurrentText("Ben")
    assert dialog.count.isEnabled()
    assert dialog.count.value() == 12
    dialog.reader.setCurrentText("  ")
    dialog._on_accept()
    assert "give a name" in dialog.problem.text()
    assert not dialog.result()


def test_a_curve_is_defined(qtbot):
    dialog = NewCurveDialog(["gonion", "menton", "border[1]"])
    qtbot.addWidget(dialog)
    dialog.name.setText("border")
    dialog._on_accept()
    assert "is there already" in dialog.problem.text()
    dialog.name.setText("edge")
    dialog.count.setValue(4)
    assert dialog.curve().chain == ("gonion", "edge[1]", "edge[2]", "edge[3]", "edge[4]", "menton")
