"""Two layers of any reader are registered, shown where the fixed one lies, measured and saved."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points
from qtpy.QtWidgets import QFileDialog

from napari_landmark.data.errors import InputError
from napari_landmark.gui.jobs import register as registering
from napari_landmark.gui.jobs.pair_inputs import ChosenLayers, read_pair
from napari_landmark.gui.jobs.register import register_job, registration_models
from napari_landmark.gui.layers.layer_manager import get_session
from napari_landmark.gui.layers.registration_layers import same_place
from napari_landmark.gui.layers.registration_views import draw_views
from napari_landmark.gui.widgets.pair_form import NO_MODEL
from napari_landmark.gui.widgets.pair_numbers import measure, numbers_text
from napari_landmark.gui.widgets.register import RegisterWidget
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.model import RegistrationModel
from napari_landmark.registration.pairwise.output import PAIR_FILES
from napari_landmark.registration.result import Registration
from napari_landmark.registration.transform.transform import Transform

SHAPE, SHIFT = (60, 80), np.array([6.0, -9.0])


def blob(centre, shape=SHAPE, size=6.0):
    """A bright spot; `centre` in index coordinates."""
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    return (200 * np.exp(-(((grid - centre) / size) ** 2).sum(-1))).astype(np.uint8)


FIXED_CENTRE, SIDE = np.array([28.0, 45.0]), np.array([4.0, -3.0])


def shifted(fixed, moving):
    """The right transform: what is at x of the fixed image lies at x + SHIFT of the moving one."""
    matrix, zero = np.asarray(fixed.direction) * (fixed.spacing or (1, 1)), np.asarray(fixed.origin)
    other, origin = np.asarray(moving.direction) * (moving.spacing or (1, 1)), np.asarray(moving.origin)
    linear = other @ np.linalg.inv(matrix)
    offset = origin + other @ SHIFT - linear @ zero
    return Transform.affine(linear, offset, fixed=fixed, moving=moving)


@pytest.fixture
def viewer():
    """Two images as other readers open them: one mirrored and shifted, one in micrometres."""
    viewer = ViewerModel()
    affine = np.diag([-0.5, 0.25, 1.0])
    affine[:2, 2] = (40, 7)
    viewer.add_image(blob(FIXED_CENTRE), name="first", affine=affine, units=("mm", "mm"))
    viewer.add_image(
        blob(FIXED_CENTRE + SHIFT), name="second", scale=(500, 250), units=("um", "um"), translate=(900, 0)
    )
    yield viewer
    get_session(viewer).close()


@pytest.fixture
def labelled(viewer):
    """With labels and points of both."""
    first, second = viewer.layers["first"], viewer.layers["second"]
    for layer, centre in ((first, FIXED_CENTRE), (second, FIXED_CENTRE + SHIFT)):
        viewer.add_labels(
            (blob(centre) > 80).astype(np.uint8) * 3, name=f"labels of {layer.name}", **same_place(layer)
        )
        viewer.add_points(
            [centre, centre + SIDE],
            name=f"points of {layer.name}",
            features={"name": ["middle", "side"]},
            **same_place(layer),
        )
    return viewer


@pytest.fixture
def known(monkeypatch):
    """A registration that finds the right transform at once, or waits for the event."""
    from napari_landmark.registration.pairwise import register as pair

    asked, go = {}, threading.Event()
    go.set()

    def register_pair(fixed, moving, *, cancel, **how):
        asked.update(how)
        while not go.wait(0.01) and not cancel.cancelled:
            pass
        return Registration(shifted(fixed.geometry, moving.geometry), 1.0, {"similarity": 0.1})

    monkeypatch.setattr(pair, "register_pair", register_pair)
    return asked, go


@pytest.fixture
def widget(viewer, qtbot):
    widget = RegisterWidget(viewer)
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def heard(viewer):
    found = []
    get_session(viewer).message.connect(lambda kind, text: found.append((kind, text)))
    return found


def wait(qtbot, viewer):
    qtbot.waitUntil(lambda: get_session(viewer).job is None, timeout=120_000)


def all_chosen(viewer, **others):
    layers = {
        f"{which}{part}": viewer.layers[f"{title}{name}"]
        for which, name in (("fixed", "first"), ("moving", "second"))
        for part, title in (("", ""), ("_labels", "labels of "), ("_points", "points of "))
    }
    return ChosenLayers(**{**layers, **others})


class TestInputs:
    def test_coordinates_are_those_of_the_images(self, labelled):
        pair = read_pair(all_chosen(labelled))
        np.testing.assert_allclose(pair.fixed_landmarks["middle"].position, FIXED_CENTRE, atol=1e-9)
        np.testing.assert_allclose(pair.moving_landmarks["middle"].position, FIXED_CENTRE + SHIFT, atol=1e-9)
        np.testing.assert_allclose(pair.moving.geometry.spacing, (0.5, 0.25))
        world = labelled.layers["first"].data_to_world((10, 20))
        np.testing.assert_allclose(pair.fixed.geometry.to_world([(10, 20)])[0], world)
        assert pair.labels == (3,)

    def test_points_without_names_go_by_their_order(self, labelled):
        labelled.layers["points of second"].features = {}
        pair = read_pair(all_chosen(labelled))
        assert list(pair.fixed_landmarks) == list(pair.moving_landmarks) == ["point 1", "point 2"]

    @pytest.mark.parametrize(
        ("others", "reason"),
        [
            ({"moving": None}, "Choose two images"),
            (
                {"fixed_labels": Labels(np.zeros((5, 9), int), name="small")},
                "small has 9 x 5 pixels and first 80 x 60",
            ),
            ({"fixed_labels": Labels(np.full(SHAPE, -2), name="neg")}, "neg: holds the label -2"),
            ({"moving": Image(np.zeros((4, 9, 9)), name="scan")}, "first is a picture and scan a volume"),
            ({"fixed_points": Points(np.zeros((1, 3)), name="p")}, "p has points of 3 axes"),
            ({"fixed_points": Points(np.zeros((1, 2)), name="p")}, "p has 1 points and points of second 2"),
            (
                {"fixed_points": Points(np.zeros((1, 2)), name="p", features={"name": ["other"]})},
                "no name in common",
            ),
            (
                {"fixed_points": Points(np.zeros((2, 2)), name="p", features={"name": ["side", "side"]})},
                "p: .*twice",
            ),
            ({"fixed": Image(np.full(SHAPE, np.nan), name="hole")}, "hole: holds values that are not finite"),
        ],
    )
    def test_what_does_not_fit_is_said(self, labelled, others, reason):
        with pytest.raises(InputError, match=reason):
            read_pair(all_chosen(labelled, **others))

    def test_one_image_twice(self, labelled):
        with pytest.raises(InputError, match="first is chosen as fixed and as moving"):
            read_pair(all_chosen(labelled, moving=labelled.layers["first"]))


class TestViews:
    @pytest.fixture
    def pair(self, labelled):
        return read_pair(all_chosen(labelled))

    def test_what_is_drawn_lies_on_the_fixed_image(self, pair):
        views = draw_views(shifted(pair.fixed.geometry, pair.moving.geometry), pair)
        assert np.unravel_index(views.warped.argmax(), SHAPE) == tuple(FIXED_CENTRE)
        inner = (slice(8, -8), slice(12, -12))
        np.testing.assert_allclose(views.warped[inner], pair.fixed.array[inner], atol=1)
        np.testing.assert_array_equal(views.labels[inner], pair.fixed_labels[inner])
        np.testing.assert_allclose(views.landmarks["side"].position, FIXED_CENTRE + SIDE, atol=1e-3)
        assert not views.folds.any()

    def test_arrows_and_volumes_of_a_known_map(self, pair):
        geometry = pair.fixed.geometry
        world = shifted(geometry, geometry)
        views = draw_views(world, read_pair(ChosenLayers(*_twins(pair))))
        np.testing.assert_allclose(
            views.arrows[:, 1], np.broadcast_to(SHIFT, views.arrows[:, 1].shape), atol=1e-4
        )
        np.testing.assert_allclose(views.jacobian, 1.0, atol=1e-4)

    def test_squares_are_of_both(self, pair):
        views = draw_views(shifted(pair.fixed.geometry, pair.moving.geometry), pair)
        twice = read_pair(ChosenLayers(*_twins(pair)))
        other = draw_views(Transform.identity(twice.fixed.geometry, twice.moving.geometry), twice)
        spot = tuple(slice(int(c) - 3, int(c) + 4) for c in FIXED_CENTRE)
        np.testing.assert_allclose(views.checkerboard[spot], other.checkerboard[spot], atol=3.0)
        assert views.checkerboard.max() == 255

    def test_numbers(self, pair):
        numbers = measure(shifted(pair.fixed.geometry, pair.moving.geometry), pair)
        assert numbers.similarity[1] > 0.99 > numbers.similarity[0]
        assert numbers.dice[3][1] == 1.0 > numbers.dice[3][0]
        assert numbers.unit == "mm"
        assert numbers.mean_error[1] < 1e-3 < numbers.mean_error[0]
        assert numbers.folding_percent == 0
        text = numbers_text(numbers, guided=True)
        assert "label 3" in text
        assert "guided" in text


def _twins(pair):
    """Both layers of one size and place."""
    return tuple(Image(pair.fixed.array, name=name) for name in "ab")


class TestWidget:
    def test_it_follows_the_layers(self, widget, viewer):
        chosen = widget.form.chosen()
        assert (chosen.fixed.name, chosen.moving.name) == ("first", "second")
        viewer.layers.remove("first")
        viewer.add_image(np.zeros((4, 5, 6, 7)), name="film")
        viewer.add_image(np.zeros(SHAPE), name="third")
        chosen = widget.form.chosen()
        assert {chosen.fixed.name, chosen.moving.name} == {"second", "third"}
        assert "film" not in [name for name, _ in widget.form.candidates(Image)]

    def test_from_the_button_to_the_layers(self, widget, labelled, qtbot, known, heard):
        for key in ("fixed_labels", "moving_labels", "fixed_points", "moving_points"):
            which = "first" if key.startswith("fixed") else "second"
            widget.form.boxes[key].value = labelled.layers[f"{key.split('_')[1]} of {which}"]
        assert widget.form.weights.labels == (3,)
        widget.form.weights.cellWidget(0, 1).setValue(4.0)
        widget.run.click()
        assert widget.run.text() == "Cancel"
        wait(qtbot, labelled)
        assert heard == []
        assert known[0]["options"].weights.regions == {3: 4.0}
        assert known[0]["moving_landmarks"] is not None
        layers, first = labelled.layers, labelled.layers["first"]
        warped = layers["Warped second"]
        peak = np.unravel_index(warped.data.argmax(), SHAPE)
        np.testing.assert_allclose(warped.data_to_world(peak), first.data_to_world(FIXED_CENTRE))
        assert [str(unit) for unit in warped.units] == ["millimeter"] * 2
        assert not layers["second"].visible
        points = layers["Warped points"]
        np.testing.assert_allclose(
            points.data_to_world(points.data[0]), first.data_to_world(FIXED_CENTRE), atol=1e-3
        )
        change = layers["Volume change"]
        np.testing.assert_allclose(change.data_to_world((0, 0)), first.data_to_world((0, 0)))
        assert "label 3" in widget.numbers.text()
        assert widget.form.chosen().fixed is first  # results are no candidates
        count = len(layers)
        widget.switches["Checkerboard"].setChecked(True)
        assert layers["Checkerboard"].visible
        widget.blend.setValue(80)
        assert warped.opacity == 0.8
        widget.run.click()
        wait(qtbot, labelled)
        assert len(layers) == count
        assert layers["Checkerboard"].visible  # as it was left

    def test_what_cannot_be_done_is_told(self, qtbot):
        viewer = ViewerModel()
        widget, told = RegisterWidget(viewer), []
        qtbot.addWidget(widget)
        get_session(viewer).message.connect(lambda kind, text: told.append((kind, text)))
        widget.run.click()
        assert told[0][0] == "error"
        assert "open them in the viewer" in told[0][1]

    def test_points_that_only_measure(self, widget, labelled, qtbot, known):
        for key, which in (("fixed_points", "first"), ("moving_points", "second")):
            widget.form.boxes[key].value = labelled.layers[f"points of {which}"]
        widget.form.guide.value = False
        widget.run.click()
        wait(qtbot, labelled)
        assert known[0]["moving_landmarks"] is None
        assert "Distance, 2 points" in widget.numbers.text()
        assert "guided" not in widget.numbers.text()

    def test_cancelling_shows_what_there_is(self, widget, viewer, qtbot, known):
        known[1].clear()
        widget.run.click()
        widget.run.click()
        assert widget.run.text() == "Cancelling…"
        wait(qtbot, viewer)
        assert "stopped early" in widget.outcome.text()
        assert "Warped second" in viewer.layers

    def test_the_result_comes_without_the_widget_and_though_the_layer_changed(self, viewer, qtbot, known):
        widget = RegisterWidget(viewer)
        first = viewer.layers["first"]
        expected = first.data_to_world(FIXED_CENTRE)
        known[1].clear()
        widget.run.click()
        widget.deleteLater()
        viewer.layers.remove(first)
        known[1].set()
        wait(qtbot, viewer)
        warped = viewer.layers["Warped second"]
        peak = np.unravel_index(warped.data.argmax(), SHAPE)
        np.testing.assert_allclose(warped.data_to_world(peak), expected)

    def test_a_failure_is_shown_and_told_once(self, widget, viewer, qtbot, monkeypatch, heard):
        from napari_landmark.registration.pairwise import register as pair

        def fail(*_, **__):
            raise MemoryError

        monkeypatch.setattr(pair, "register_pair", fail)
        widget.run.click()
        wait(qtbot, viewer)
        assert "Out of memory. Close other programs" in widget.outcome.text()
        assert len(heard) == 1

    def test_saving(self, widget, labelled, qtbot, known, tmp_path, monkeypatch):
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


class TestModels:
    @pytest.fixture
    def quick(self, monkeypatch):
        """Trainings of a few steps."""
        from napari_landmark.registration import options

        def few(device, *, seed=0, minutes=None, weights=None):
            return options.RegistrationOptions(minutes, "cpu", seed, weights, steps=quick_steps[0])

        quick_steps = [2]
        monkeypatch.setattr(options, "default_registration_options", few)
        monkeypatch.setattr(options, "WORKING_SIZE", {2: 64, 3: 64})
        return quick_steps

    @pytest.fixture
    def studied(self, study, cohort, qtbot):
        viewer = ViewerModel()
        get_session(viewer).open(study, cohort)
        widget = RegisterWidget(viewer)
        qtbot.addWidget(widget)
        yield viewer, widget
        get_session(viewer).close()

    def test_training_and_using_it(self, studied, hands, qtbot, quick, tmp_path):
        from skimage.io import imread, imsave

        viewer, widget = studied
        picture = imread(hands[0] / "hand_001.png")
        (tmp_path / "maps").mkdir()
        imsave(tmp_path / "maps" / "hand_001.png", (picture > 100).astype(np.uint8), check_contrast=False)
        widget.training.labels.value = tmp_path / "maps"
        widget.training.run.click()
        wait(qtbot, viewer)
        assert "Trained" in widget.training.stage_text.text()
        (folder,) = registration_models(get_session(viewer).study).values()
        assert widget.form.model_folder == folder
        for name in ("hand_000.png", "hand_001.png"):
            viewer.add_image(imread(hands[0] / name), name=f"my {name}")
        widget.form.boxes["fixed"].value = viewer.layers["my hand_000.png"]
        widget.form.boxes["moving"].value = viewer.layers["my hand_001.png"]
        widget.run.click()
        wait(qtbot, viewer)
        assert "Warped my hand_001.png" in viewer.layers

    def test_cancelling_keeps_the_model(self, studied, qtbot, quick):
        viewer, widget = studied
        quick[0] = 100_000
        widget.training.run.click()
        qtbot.waitUntil(lambda: bool(widget.training.plot.stages), timeout=60_000)
        widget.training.run.click()
        assert widget.training.run.text() == "Cancelling…"
        wait(qtbot, viewer)
        (name,) = registration_models(get_session(viewer).study)
        assert name == "Model 001 of this study (stopped early)"
        assert widget.form.model.value == name
        assert widget.training.resume.isVisibleTo(widget.training)
        widget.training.minutes.value = 0.2
        widget.training.resume.click()
        wait(qtbot, viewer)
        assert "Trained" in widget.training.stage_text.text()
        assert list(registration_models(get_session(viewer).study)) == ["Model 001 of this study"]
        assert not widget.training.resume.isVisibleTo(widget.training)

    def test_resuming_asks_for_the_label_maps(self, studied, hands, qtbot, quick, tmp_path):
        from skimage.io import imread, imsave

        viewer, widget = studied
        quick[0] = 100_000
        picture = imread(hands[0] / "hand_001.png")
        (tmp_path / "maps").mkdir()
        imsave(tmp_path / "maps" / "hand_001.png", (picture > 100).astype(np.uint8), check_contrast=False)
        widget.training.labels.value = tmp_path / "maps"
        widget.training.run.click()
        qtbot.waitUntil(lambda: bool(widget.training.plot.stages), timeout=60_000)
        widget.training.run.click()
        wait(qtbot, viewer)
        widget.training.labels.value = None
        widget.training.resume.click()
        wait(qtbot, viewer)
        assert "label maps that this training began with" in widget.training.stage_text.text()

    def test_the_table_starts_from_the_weights_of_the_model(self, widget, labelled, qtbot, known, tmp_path):
        widget.form.boxes["fixed_labels"].value = labelled.layers["labels of first"]
        assert widget.form.weights.weights() == {}
        for name, weights in (("one", {"3": 2.5, "8": 7}), ("two", {"3": 0.5}), ("none", None)):
            (tmp_path / name).mkdir()
            record = {"training": {"options": {"weights": {"regions": weights}}}}
            (tmp_path / name / "model.json").write_text(json.dumps(record))
        table = widget.form.weights
        spin = table.cellWidget(0, 1)
        for name, value in (("one", 2.5), ("two", 0.5), ("none", 1.0), ("one", 2.5)):
            widget.form.take_folder(tmp_path / name)
            assert spin.value() == value
        assert table.weights() == {3: 2.5}  # label 8 is in no label map
        spin.setValue(1.0)  # what the person says stays, whichever model
        widget.form.take_folder(tmp_path / "two")
        assert spin.value() == 1.0
        assert table.weights() == {3: 1.0}
        widget.form.model.value = NO_MODEL
        assert table.weights() == {3: 1.0}

    def test_the_weights_of_the_model_hold_in_the_viewer(self, labelled, qtbot, known, monkeypatch):
        model = SimpleNamespace(weights=LossWeights(dice=0.5, regions={3: 2.5, 8: 7.0}))
        monkeypatch.setattr(RegistrationModel, "load", lambda folder, device: model)
        session = get_session(labelled)
        session.run(register_job(session, read_pair(all_chosen(labelled)), model=Path(), weights={3: 1.0}))
        wait(qtbot, labelled)
        assert known[0]["options"].weights == LossWeights(dice=0.5, regions={3: 1.0, 8: 7.0})

    def test_without_a_study_there_is_nothing_to_train_on(self, widget):
        assert not widget.training.run.isEnabled()
        assert widget.form.model.value == NO_MODEL

    def test_a_folder_that_holds_no_model_is_told(self, widget, viewer, qtbot, tmp_path, heard):
        widget.form.take_folder(tmp_path)
        assert widget.form.model_folder == tmp_path
        widget.run.click()
        wait(qtbot, viewer)
        assert "holds no registration model" in heard[0][1]


def test_a_real_registration_of_two_layers(viewer, qtbot):
    """Few steps on small images: the spot comes to lie on the spot."""
    pair = read_pair(ChosenLayers(viewer.layers["first"], viewer.layers["second"]))
    session, found = get_session(viewer), []
    job = register_job(session, pair, device="cpu")
    job.succeeded.connect(found.append)
    session.run(job)
    wait(qtbot, viewer)
    carried = found[0].registration.transform.to_moving([FIXED_CENTRE])[0]
    assert np.linalg.norm(carried - (FIXED_CENTRE + SHIFT)) < 2.0
    assert found[0].numbers.similarity[1] > 0.95
    assert job.title == registering.REGISTERING


def test_in_a_real_viewer(make_napari_viewer, qtbot, known):
    real = make_napari_viewer(strict_qt="raise", show=True)
    _, widget = real.window.add_plugin_dock_widget("napari-landmark", "Register")
    scan = np.zeros((8, *SHAPE), np.uint8)
    scan[:] = blob(FIXED_CENTRE)
    known[1].set()
    for name, centre in (("one", FIXED_CENTRE), ("two", FIXED_CENTRE + SHIFT)):
        real.add_image(blob(centre), name=name)
    widget.run.click()
    wait(qtbot, real)
    for kind in widget.switches.values():
        kind.setChecked(True)
    qtbot.wait(50)
    assert {"Warped two", "Deformed grid", "Displacement", "Volume change"} <= {
        layer.name for layer in real.layers
    }
    real.screenshot(canvas_only=False, flash=False)
