"""Two layers of any reader are registered, shown where the fixed one lies, measured and saved."""

from __future__ import annotations

import json

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QColor, QMouseEvent
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_landmark.gui.canvas.canvas_view import show_canvas_view
from napari_landmark.gui.layers.pair_inputs import read_pair
from napari_landmark.gui.layers.registration_layers import same_place
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.widgets import register
from napari_landmark.gui.widgets.register import RegisterWidget
from napari_landmark.registration.pairwise.output import PAIR_FILES
from napari_landmark.registration.transform.transform import Transform

from ..conftest import NAMES, docked, predict
from ..pairs import FIXED_CENTRE, SHAPE, SHIFT, blob, wait


@pytest.fixture
def widget(pair_viewer, qtbot):
    widget = RegisterWidget(pair_viewer)
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def heard(pair_viewer):
    found = []
    get_session(pair_viewer).message.connect(lambda kind, text: found.append((kind, text)))
    return found


class TestWidget:
    def test_it_follows_the_layers(self, widget, pair_viewer):
        chosen = widget.form.chosen()
        assert (chosen.fixed.name, chosen.moving.name) == ("first", "second")
        pair_viewer.layers.remove("first")
        pair_viewer.add_image(np.zeros((4, 5, 6, 7)), name="film")
        pair_viewer.add_image(np.zeros(SHAPE), name="third")
        chosen = widget.form.chosen()
        assert {chosen.fixed.name, chosen.moving.name} == {"second", "third"}
        assert "film" not in [name for name, _ in widget.form.candidates(Image)]

    def test_from_the_button_to_the_layers(self, widget, labelled, qtbot, known_registration, heard):
        for key in ("fixed_labels", "moving_labels", "fixed_points", "moving_points"):
            which = "first" if key.startswith("fixed") else "second"
            widget.form.boxes[key].value = labelled.layers[f"{key.split('_')[1]} of {which}"]
        assert widget.form.weights.labels == (3,)
        widget.form.weights.cellWidget(0, 1).setValue(4.0)
        widget.run.click()
        assert widget.run.text() == "Registering…"
        assert not widget.run.isEnabled()  # the header has the button that cancels
        wait(qtbot, labelled)
        assert heard == []
        assert known_registration[0]["options"].weights.regions == {3: 4.0}
        assert known_registration[0]["moving_landmarks"] is not None
        layers, first = labelled.layers, labelled.layers["first"]
        warped = layers["Warped second on first"]
        peak = np.unravel_index(warped.data.argmax(), SHAPE)
        np.testing.assert_allclose(warped.data_to_world(peak), first.data_to_world(FIXED_CENTRE))
        assert [str(unit) for unit in warped.units] == ["millimeter"] * 2
        assert not layers["second"].visible
        points = layers["Warped points: second on first"]
        np.testing.assert_allclose(
            points.data_to_world(points.data[0]), first.data_to_world(FIXED_CENTRE), atol=1e-3
        )
        change = layers["Volume change: second on first"]
        np.testing.assert_allclose(change.data_to_world((0, 0)), first.data_to_world((0, 0)))
        assert "label 3" in widget.numbers.text()
        assert widget.form.chosen().fixed is first  # results are no candidates
        count = len(layers)
        widget.switches["Checkerboard"].setChecked(True)
        assert layers["Checkerboard: second on first"].visible
        widget.blend.setValue(80)
        assert warped.opacity == 0.8
        widget.run.click()
        wait(qtbot, labelled)
        assert len(layers) == count
        assert layers["Checkerboard: second on first"].visible  # as it was left

    def test_a_new_result_is_shown_though_the_one_before_was_hidden(
        self, widget, pair_viewer, qtbot, known_registration
    ):
        widget.run.click()
        wait(qtbot, pair_viewer)
        for layer in pair_viewer.layers:
            layer.visible = False  # as opening a study does
        widget.blend.setValue(90)
        assert pair_viewer.layers["Warped second on first"].visible
        for layer in pair_viewer.layers:
            layer.visible = False
        widget.run.click()
        wait(qtbot, pair_viewer)
        visible = {layer.name for layer in pair_viewer.layers if layer.visible}
        assert visible == {"first", "Warped second on first"}

    def test_label_maps_that_were_opened_as_images_are_labels(
        self, widget, pair_viewer, qtbot, known_registration, heard
    ):
        for name, centre in (("first", FIXED_CENTRE), ("second", FIXED_CENTRE + SHIFT)):
            mask = (blob(centre) > 80).astype(np.uint8) * 3
            pair_viewer.add_image(mask, name=f"mask of {name}", **same_place(pair_viewer.layers[name]))
        pair_viewer.add_image(
            np.arange(200, dtype=np.uint8)[None] * np.ones((60, 1), np.uint8), name="many values"
        )
        offered = {name for name, _ in widget.form.candidates(Labels)}
        assert {"mask of first", "mask of second"} <= offered
        assert "many values" not in offered
        widget.form.boxes["fixed"].value = pair_viewer.layers["first"]
        widget.form.boxes["moving"].value = pair_viewer.layers["second"]
        widget.form.boxes["fixed_labels"].value = pair_viewer.layers["mask of first"]
        assert "Labels of the moving image are needed, too" in widget.form.needed.text()
        assert not widget.form.needed.isHidden()
        assert widget.form.weights.isHidden()
        widget.form.boxes["moving_labels"].value = pair_viewer.layers["mask of second"]
        assert widget.form.needed.isHidden()
        assert widget.form.weights.labels == (3,)
        widget.run.click()
        wait(qtbot, pair_viewer)
        assert heard == []
        assert "label 3" in widget.numbers.text()

    def test_other_layers_of_the_moving_image_are_warped(
        self, widget, labelled, qtbot, known_registration, heard
    ):
        widget.run.click()
        wait(qtbot, labelled)
        layers, first = labelled.layers, labelled.layers["first"]
        layers.selection = {layers["second"], layers["labels of second"], layers["points of second"]}
        widget.warp.click()
        assert heard == []
        warped, marks, points = (layers[f"Warped {name}second"] for name in ("", "labels of ", "points of "))
        middle = first.data_to_world(FIXED_CENTRE)
        np.testing.assert_allclose(
            warped.data_to_world(np.unravel_index(warped.data.argmax(), SHAPE)), middle, atol=1e-6
        )
        np.testing.assert_array_equal(marks.data, layers["labels of first"].data)
        np.testing.assert_allclose(points.data_to_world(points.data[0]), middle, atol=1e-3)
        assert list(points.features["name"]) == ["middle", "side"]
        assert warped.data.dtype == layers["second"].data.dtype

    def test_layers_that_cannot_be_warped_are_told(
        self, widget, pair_viewer, qtbot, known_registration, heard
    ):
        widget.run.click()
        wait(qtbot, pair_viewer)
        pair_viewer.layers.selection = {pair_viewer.layers["Warped second on first"]}
        widget.warp.click()
        assert "Select the layers to warp" in heard[-1][1]
        small = pair_viewer.add_image(np.zeros((4, 5)), name="small")
        pair_viewer.layers.selection = {pair_viewer.layers["second"], small}
        count = len(pair_viewer.layers)
        widget.warp.click()
        assert "small: has 5 x 4 pixels and the moving image 80 x 60" in heard[-1][1]
        assert len(pair_viewer.layers) == count

    def test_what_cannot_be_done_is_told(self, qtbot):
        viewer = ViewerModel()
        widget, told = RegisterWidget(viewer), []
        qtbot.addWidget(widget)
        get_session(viewer).message.connect(lambda kind, text: told.append((kind, text)))
        widget.run.click()
        assert told[0][0] == "error"
        assert "open them in the viewer" in told[0][1]

    def test_points_that_only_measure(self, widget, labelled, qtbot, known_registration):
        for key, which in (("fixed_points", "first"), ("moving_points", "second")):
            widget.form.boxes[key].value = labelled.layers[f"points of {which}"]
        widget.form.guide.value = False
        widget.run.click()
        wait(qtbot, labelled)
        assert known_registration[0]["moving_landmarks"] is None
        assert "Distance, 2 points" in widget.numbers.text()
        assert "guided" not in widget.numbers.text()

    def test_cancelling_shows_what_there_is(self, widget, pair_viewer, qtbot, known_registration):
        known_registration[1].clear()
        widget.run.click()
        get_session(pair_viewer).job.cancel()
        wait(qtbot, pair_viewer)
        assert "stopped early" in widget.outcome.text()
        assert "Warped second on first" in pair_viewer.layers

    def test_the_result_comes_without_the_widget_and_though_the_layer_changed(
        self, pair_viewer, qtbot, known_registration
    ):
        widget = RegisterWidget(pair_viewer)
        first = pair_viewer.layers["first"]
        expected = first.data_to_world(FIXED_CENTRE)
        known_registration[1].clear()
        widget.run.click()
        widget.deleteLater()
        pair_viewer.layers.remove(first)
        known_registration[1].set()
        wait(qtbot, pair_viewer)
        warped = pair_viewer.layers["Warped second on first"]
        peak = np.unravel_index(warped.data.argmax(), SHAPE)
        np.testing.assert_allclose(warped.data_to_world(peak), expected)

    def test_a_failure_is_shown_and_told_once(self, widget, pair_viewer, qtbot, monkeypatch, heard):
        from napari_landmark.registration.pairwise import register as pair

        def fail(*_, **__):
            raise MemoryError

        monkeypatch.setattr(pair, "register_pair", fail)
        widget.run.click()
        wait(qtbot, pair_viewer)
        assert "Out of memory. Close other programs" in widget.outcome.text()
        assert len(heard) == 1

    def test_saving(self, widget, labelled, qtbot, known_registration, tmp_path, monkeypatch):
        for key, which in (
            ("fixed_points", "first"),
            ("moving_points", "second"),
            ("moving_labels", "second"),
        ):
            widget.form.boxes[key].value = labelled.layers[f"{key.split('_')[1]} of {which}"]
        widget.run.click()
        wait(qtbot, labelled)
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "out"))
        widget.save.click()
        wait(qtbot, labelled)
        names = {path.name for path in (tmp_path / "out").iterdir()}
        assert names == set(PAIR_FILES)
        measures = json.loads((tmp_path / "out" / "measures.json").read_text())
        assert measures["correlation"] > measures["correlation_before"]
        assert measures["guided_by"] == ["landmarks"]  # only one image has labels
        assert measures["tre_mm"] < 1e-3 < measures["tre_before_mm"]
        again = Transform.load(tmp_path / "out" / "transform.nrrd")
        np.testing.assert_allclose(again.to_moving([FIXED_CENTRE])[0], FIXED_CENTRE + SHIFT, atol=1e-3)


def move_mouse(canvas, at: QPointF) -> None:
    buttons, place = Qt.MouseButton.NoButton, QPointF(canvas.mapToGlobal(at))
    event = QMouseEvent(QEvent.Type.MouseMove, at, place, buttons, buttons, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(canvas, event)


def test_in_a_real_viewer(make_napari_viewer, qtbot, known_registration):
    real = make_napari_viewer(strict_qt="raise", show=True)
    _, widget = docked(real, "Register")
    scan = np.zeros((8, *SHAPE), np.uint8)
    scan[:] = blob(FIXED_CENTRE)
    known_registration[1].set()
    for name, centre in (("one", FIXED_CENTRE), ("two", FIXED_CENTRE + SHIFT)):
        real.add_image(blob(centre), name=name)
    widget.run.click()
    wait(qtbot, real)
    for kind in widget.switches.values():
        kind.setChecked(True)
    qtbot.wait(50)
    kinds = ("Deformed grid", "Displacement", "Volume change")
    wanted = {"Warped two on one", *(f"{kind}: two on one" for kind in kinds)}
    assert wanted <= {layer.name for layer in real.layers}
    shown = {layer.name for layer in real.layers if layer.visible}
    canvas = real.window._qt_viewer.canvas.native
    qtbot.keyPress(canvas, Qt.Key.Key_G)
    qtbot.wait(50)
    assert {layer.name for layer in real.layers if layer.visible} == {"one"}
    qtbot.keyRelease(canvas, Qt.Key.Key_G)
    qtbot.wait(50)
    assert {layer.name for layer in real.layers if layer.visible} == shown
    widget.linked.setChecked(True)
    view = show_canvas_view(real)
    warped = next(layer for layer in real.layers if layer.name == "Warped two on one")
    (y, x) = view.overlay.screen_of.to_screen(warped, [FIXED_CENTRE])[0]
    move_mouse(canvas, QPointF(x, y))
    np.testing.assert_allclose(view.moving.position, FIXED_CENTRE + SHIFT, atol=0.5)
    assert view.moving.isVisible()
    picture = view.moving.grab().toImage()
    middle, corner = (QColor(picture.pixel(*at)).lightness() for at in ((95 + 8, 95 + 8), (20, 120)))
    assert middle > 150 > corner  # the bright spot of the moving image, beside the crosshair
    (y, x) = view.overlay.screen_of.to_screen(warped, [(-8, -8)])[0]
    move_mouse(canvas, QPointF(x, y))
    assert not view.moving.isVisible()  # beside the image
    real.screenshot(canvas_only=False, flash=False)


class TestFromTheStudy:
    """Both images from the images of the open study."""

    @pytest.fixture
    def chosen(self, viewer, qtbot, monkeypatch, truth):
        session = get_session(viewer)
        for name in ("hand_000.png", "hand_002.png"):
            predict(session, name, truth[name])
        widget = RegisterWidget(viewer)
        qtbot.addWidget(widget)

        def accept(dialog):
            dialog.moving.setCurrentText("hand_002.png")
            dialog._on_accept()

        monkeypatch.setattr(register.StudyPairDialog, "exec", accept)
        widget.from_study.click()
        wait(qtbot, viewer)
        qtbot.waitUntil(lambda: widget.form.chosen().moving_points is not None, timeout=5000)
        return widget

    def test_they_are_chosen_with_their_points(self, chosen, viewer):
        layers = chosen.form.chosen()
        assert (layers.fixed.name, layers.moving.name) == ("hand_000.png (fixed)", "hand_002.png (moving)")
        assert layers.fixed.visible and not layers.moving.visible
        assert list(layers.moving_points.features["name"]) == list(NAMES)
        pair = read_pair(layers)
        assert pair.fixed_landmarks is not None and pair.moving_landmarks is not None
        np.testing.assert_allclose(
            pair.moving_landmarks.positions(2), get_session(viewer).result("hand_002.png").positions(2)
        )

    def test_other_steps_show_the_image_of_the_study(self, chosen, viewer):
        image, marks = get_layer_manager(viewer).image, viewer.layers["Landmarks"]
        fixed = chosen.form.chosen().fixed
        assert not image.visible and not marks.visible  # of another image
        chosen.show()
        chosen.hide()
        assert image.visible and marks.visible and not fixed.visible
        chosen.show()
        assert not image.visible and not marks.visible and fixed.visible

    def test_the_next_pair_takes_their_place(self, chosen, viewer, qtbot):
        count = len(viewer.layers)
        before = chosen.form.chosen().fixed
        chosen.from_study.click()
        qtbot.waitUntil(lambda: before not in viewer.layers, timeout=10_000)
        qtbot.waitUntil(lambda: len(viewer.layers) == count, timeout=5000)
        assert chosen.form.chosen().fixed in viewer.layers


def test_the_volume_change_has_a_legend_while_it_is_shown(widget, pair_viewer, qtbot, known_registration):
    widget.run.click()
    wait(qtbot, pair_viewer)
    assert not widget.legend.isVisibleTo(widget.shown)
    widget.switches["Volume change"].setChecked(True)
    assert widget.legend.isVisibleTo(widget.shown)
    image = widget.legend.bar.pixmap().toImage()
    low, high = image.pixelColor(5, 0), image.pixelColor(250, 0)
    assert low.red() > low.green() and high.green() > high.red()  # pink, green
