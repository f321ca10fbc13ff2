"""Contact sheet: crops that are clicked and dragged."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_landmark.data.landmarks import Status
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.crop_reader import place_in_crop
from napari_landmark.gui.widgets.contact_sheet import ContactSheetWidget

from ..conftest import on_disk, predict

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton


@pytest.fixture
def sheet(viewer, truth, qtbot):
    session = get_session(viewer)
    for number, name in enumerate(("hand_001.png", "hand_002.png", "hand_003.png")):
        predict(session, name, truth[name], error=1.0 + number)
    session.select_landmark("capitate")
    widget = ContactSheetWidget(viewer)
    qtbot.addWidget(widget)
    widget.resize(420, 500)
    widget.show()
    qtbot.wait(50)
    return widget


def send(view, kind, at, button, buttons):
    viewport = view.viewport()
    place = QPointF(viewport.mapToGlobal(at))
    event = QMouseEvent(kind, at, place, button, buttons, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(viewport, event)


def drag(view, start, end):
    send(view, QEvent.Type.MouseButtonPress, start, LEFT, LEFT)
    for share in (0.5, 1.0):
        send(view, QEvent.Type.MouseMove, start + (end - start) * share, NONE, LEFT)
    send(view, QEvent.Type.MouseButtonRelease, end, LEFT, NONE)


def test_the_most_doubtful_image_is_first(sheet):
    assert [item.image for item in sheet.view.items] == ["hand_003.png", "hand_002.png", "hand_001.png"]
    assert "of 4 reviewed" in sheet.about.text()


def test_a_click_goes_there(sheet):
    view = sheet.view
    drag(
        view,
        QPointF(view.cell(1).center()) + QPointF(40, 40),
        QPointF(view.cell(1).center()) + QPointF(40, 40),
    )
    assert sheet.session.current_image == "hand_002.png"
    assert sheet.session.current_landmark == "capitate"


def test_a_drag_in_a_crop_corrects_that_image_alone(sheet, truth):
    session, view = sheet.session, sheet.view
    current = session.current_image
    start = view.place_of(1)
    request = view._request(view.items[1])
    drag(view, start, start + QPointF(20, -10))
    step = request.extent / request.pixels
    corrected = on_disk(session, "hand_002.png")["capitate"]
    assert corrected.status is Status.CORRECTED
    expected = truth["hand_002.png"][3] + np.array([-10, 20]) * step
    np.testing.assert_allclose(corrected.position, expected, atol=step)
    assert session.current_image == current
    place = place_in_crop(request, corrected.position)
    box = view.cell(1)
    drawn = view.place_of(1)
    np.testing.assert_allclose((drawn.y() - box.top() - 0.5, drawn.x() - box.left() - 0.5), place)
    assert session.result("hand_003.png")["capitate"].status is Status.PREDICTED
    assert [item.image for item in view.items][1] == "hand_002.png"  # nothing moves under the mouse


def test_crops_are_read_and_drawn(sheet, qtbot):
    view = sheet.view
    qtbot.waitUntil(lambda: sheet.session.crops.is_read(view._request(view.items[0])), timeout=5000)
    qtbot.wait(50)
    picture = view.viewport().grab().toImage()
    box = view.cell(0)
    greys = {picture.pixelColor(box.left() + x, box.top() + x).red() for x in range(5, 120, 6)}
    assert len(greys) > 3


def test_all_landmarks_of_the_image(sheet):
    sheet.session.show("hand_001.png")
    sheet.what.setCurrentIndex(1)
    sheet.rebuild()
    assert {item.image for item in sheet.view.items} == {"hand_001.png"}
    assert len(sheet.view.items) == 4


def test_it_fits_a_dock_of_400_pixels(sheet):
    assert sheet.minimumSizeHint().width() <= 400


def test_another_landmark_makes_another_sheet(sheet):
    sheet.session.select_landmark("thumb_tip")
    assert {item.landmark for item in sheet.view.items} == {"thumb_tip"}
