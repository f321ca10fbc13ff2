"""Points, image and heatmaps of a viewer follow the session, and the session follows the points."""

from __future__ import annotations

import gc
import itertools
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study.study import Study
from napari_landmark.gui.layers.heatmap_layers import along_image_axes
from napari_landmark.gui.layers.layer_transforms import layer_place
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session
from napari_landmark.gui.session.annotation_editor import AnnotationEditor
from napari_landmark.gui.widgets.cohort_table import CohortTable
from napari_landmark.gui.widgets.study_bar import StudyBar

from ..conftest import NAMES, predict


@pytest.fixture
def session(viewer):
    return get_session(viewer)


@pytest.fixture
def layer(layer_manager):
    return layer_manager.landmarks.layer


def drag(layer, row, position):
    """What napari's mouse bindings do when a point is dragged."""
    layer._set_drag_start({row}, layer.data[row])
    layer._move({row}, position)
    layer._drag_start = None


class TestPoints:
    def test_a_click_places_the_landmark_at_hand(self, session, layer):
        assert layer.mode == "add"
        layer.add([20, 15])
        assert session.result()["thumb_tip"].position == (20, 15)
        assert list(layer.features["name"]) == ["thumb_tip"]
        assert session.current_landmark == "index_tip"

    def test_rows_are_known_by_name(self, session, layer):
        session.select_landmark("capitate")
        layer.add([20, 15])
        session.select_landmark("thumb_tip")
        layer.add([30, 16])
        assert list(layer.features["name"]) == ["thumb_tip", "capitate"]
        np.testing.assert_allclose(layer.data, [(30, 16), (20, 15)])

    def test_a_drag_moves_that_one(self, session, layer):
        for row in range(3):
            layer.add([20 + row, 15])
        drag(layer, 1, (40, 20))
        assert session.result()["index_tip"].position == pytest.approx((40, 20))
        assert session.result()["thumb_tip"].position == (20, 15)
        assert session.current_landmark == "index_tip"

    def test_a_drag_out_of_the_image_is_taken_back(self, session, layer):
        layer.add([20, 15])
        drag(layer, 0, (-90, 20))
        np.testing.assert_allclose(layer.data, [(20, 15)])

    def test_deleting_opens_it_again(self, session, layer):
        for row in range(3):
            layer.add([20 + row, 15])
        layer.selected_data = {1}
        layer.remove_selected()
        assert session.result()["index_tip"].status is Status.UNPLACED
        assert list(layer.features["name"]) == ["thumb_tip", "middle_tip"]

    def test_a_click_too_many_leaves_no_point(self, session, layer):
        for row in range(len(NAMES) + 2):
            layer.add([20 + row, 15])
        assert len(layer.data) == len(NAMES)

    def test_undo_takes_the_point_away(self, session, layer):
        layer.add([20, 15])
        AnnotationEditor(session).undo()
        assert len(layer.data) == 0
        layer.add([21, 15])
        assert session.result()["thumb_tip"].position == (21, 15)

    def test_colours_say_how_sure_the_model_is(self, session, layer, truth):
        predict(session, session.current_image, truth[session.current_image])
        assert layer.face_colorbar.visible
        red, blue = layer.face_color[0][0], layer.face_color[-1][2]
        assert red > 0.8
        assert blue > 0.5
        session.color_by_confidence = False
        session.view_changed.emit()
        assert not layer.face_colorbar.visible

    def test_the_bar_of_confidences_is_drawn_unseen_while_the_study_opens(self, session, cohort, truth):
        AnnotationEditor(session).place("capitate", (5, 5))
        for name in NAMES[:3]:
            AnnotationEditor(session).mark_missing(name)
        predict(session, "hand_001.png", truth["hand_001.png"])
        session.close()  # two viewers cannot both annotate
        viewer = ViewerModel()
        get_session(viewer).open(session.study, cohort)
        bar = viewer.layers["Landmarks"].face_colorbar
        assert (bar.visible, bar.opacity) == (True, 0)
        AnnotationEditor(get_session(viewer)).undo()
        AnnotationEditor(get_session(viewer)).clear("capitate")
        assert not bar.visible
        get_session(viewer).step(1)
        assert (bar.visible, bar.opacity) == (True, 1)
        get_session(viewer).close()

    def test_equal_confidences_beside_a_bar_that_is_drawn_already(
        self, make_napari_viewer, session, cohort, truth
    ):
        AnnotationEditor(session).place("capitate", (5, 5))
        found = LandmarkSet.from_array(
            session.schema, truth["hand_001.png"], status=Status.PREDICTED, confidence=np.full(4, 0.7)
        )
        session.study.save_predictions("hand_001.png", found, cohort.geometry(cohort.index("hand_001.png")))
        session.close()
        viewer = make_napari_viewer()
        again = get_session(viewer)
        again.open(session.study, cohort)
        again.show("hand_001.png")
        layer = viewer.layers["Landmarks"]
        assert layer.face_colorbar.visible
        assert tuple(layer.face_contrast_limits) == (0, 1)
        again.close()

    def test_rings_are_as_wide_as_the_expected_error(self, viewer, session, truth):
        predict(session, session.current_image, truth[session.current_image], error=3.0)
        np.testing.assert_allclose(viewer.layers["Expected error"].size, 6.0)

    def test_picking_a_point_makes_it_the_one_at_hand(self, session, layer, truth):
        predict(session, session.current_image, truth[session.current_image])
        layer.mode = "select"
        layer.selected_data = {2}
        assert session.current_landmark == "middle_tip"


class TestImage:
    def test_one_layer_shows_one_image_after_another(self, viewer, session):
        before = len(viewer.layers)
        session.step(1)
        assert len(viewer.layers) == before
        assert "hand_001.png" in viewer.layers

    def test_units_and_axes_are_always_said(self, viewer, session, layer_manager, truth):
        predict(session, session.current_image, truth[session.current_image])
        layer_manager.preview.show(session.result())
        layer_manager.heatmaps.show(NAMES, np.ones((4, 8, 6), np.float32), np.eye(2) * 4, np.zeros(2))
        assert len(viewer.layers) == 6
        for layer in viewer.layers:
            assert layer.axis_labels == ("y", "x"), layer.name
            assert [str(unit) for unit in layer.units] == ["pixel", "pixel"], layer.name

    def test_a_known_spacing_is_the_scale(self, hands, tmp_path, preferences):
        viewer = ViewerModel()
        study = Study.create(tmp_path / "mm", schema=LandmarkSchema(NAMES), images=hands[0], spacing=0.5)
        cohort = Cohort.from_folder(hands[0], spacing=0.5, working_size=128, cache_dir=preferences.cache)
        get_session(viewer).open(study, cohort)
        for layer in viewer.layers:
            np.testing.assert_allclose(layer.scale, (0.5, 0.5))
            assert [str(unit) for unit in layer.units] == ["millimeter", "millimeter"]
        get_session(viewer).close()

    def test_deleted_layers_come_back_with_the_next_image(self, viewer, session):
        viewer.layers.clear()
        session.step(1)
        assert {"Landmarks", "hand_001.png"} <= {layer.name for layer in viewer.layers}
        viewer.layers["Landmarks"].add([20, 15])
        assert session.result()["thumb_tip"].position == (20, 15)

    def test_volumes_can_be_annotated(self, tmp_path, preferences):
        import SimpleITK as sitk

        folder = tmp_path / "volumes"
        folder.mkdir()
        image = sitk.GetImageFromArray(
            np.random.default_rng(0).integers(0, 99, (12, 20, 16)).astype(np.int16)
        )
        image.SetSpacing((0.5, 0.5, 2.0))
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
        sitk.WriteImage(image, str(folder / "a.nrrd"))
        viewer = ViewerModel()
        session = get_session(viewer)
        study = Study.create(tmp_path / "study3", schema=LandmarkSchema(("one", "two")), images=folder)
        session.open(study, Cohort.from_folder(folder, working_size=64, cache_dir=preferences.cache))
        layer = get_layer_manager(viewer).landmarks.layer
        layer.add([5, 10, 8])
        assert Study.open(study.folder).load_annotations("a.nrrd")["one"].position == (5, 10, 8)
        world = session.geometry().to_world([(5, 10, 8)])[0]
        np.testing.assert_allclose(layer.data_to_world((5, 10, 8)), world)
        session.close()


class TestUnreadable:
    """An image whose file went away while the study is open."""

    @pytest.fixture
    def broken(self, hands, tmp_path, preferences):
        """A viewer at the first image of a study; the third one cannot be read any more."""
        folder = Path(shutil.copytree(hands[0], tmp_path / "images"))
        viewer = ViewerModel()
        session = get_session(viewer)
        study = Study.create(tmp_path / "some", schema=LandmarkSchema(NAMES), images=folder)
        session.open(study, Cohort.from_folder(folder, working_size=128, cache_dir=preferences.cache))
        (folder / "hand_002.png").unlink()
        (folder / "hand_003.png").write_bytes(b"")
        session.step(1)
        yield viewer
        session.close()

    def test_clicks_stay_with_the_picture_that_is_seen(self, broken):
        session, seen = get_session(broken), []
        session.image_changed.connect(lambda: seen.append(session.current_image))
        with pytest.raises(InputError, match=r"hand_002\.png"):
            session.step(1)
        broken.layers["Landmarks"].add([20, 15])
        assert session.current_image == "hand_001.png"
        assert seen == []
        assert list(session.study.annotations()) == ["hand_001.png"]

    def test_the_arrow_and_the_lists_tell_and_stay(self, broken, qtbot):
        session, heard = get_session(broken), []
        session.message.connect(lambda kind, text: heard.append(kind))
        bar, table = StudyBar(broken, session), CohortTable(session)
        qtbot.addWidget(bar)
        qtbot.addWidget(table)
        bar.next.click()
        bar.images.setCurrentIndex(3)
        bar._on_chosen(3)
        table.view.selectRow(2)
        table.view.clicked.emit(table.view.model().index(2, 0))
        assert heard == ["error"] * 3
        assert bar.images.currentIndex() == 1
        assert table.view.currentIndex().row() == 1

    def test_undoing_there_is_saved_though_it_cannot_be_shown(self, broken, hands):
        session = get_session(broken)
        lost = session.study.images / "hand_002.png"
        shutil.copy(hands[0] / lost.name, lost)
        session.step(1)
        AnnotationEditor(session).place("capitate", (5, 5))
        session.step(-1)
        lost.unlink()
        session._prefetcher._reading.clear()  # what was read ahead would hide it
        with pytest.raises(InputError, match=r"hand_002\.png"):
            AnnotationEditor(session).undo()
        assert session.current_image == "hand_001.png"
        assert session.result("hand_002.png")["capitate"].status is Status.UNPLACED

    def test_opening_begins_with_the_next_that_can_be_read(self, broken, tmp_path):
        session, heard = get_session(broken), []
        session.message.connect(lambda kind, text: heard.append(text))
        session.open(session.study, session.cohort, image="hand_003.png")
        assert session.current_image == "hand_000.png"
        assert "hand_003.png" in heard[0]
        for path in session.study.images.iterdir():
            path.write_bytes(b"")
        other = Study.create(tmp_path / "other", schema=LandmarkSchema(("one",)))
        with pytest.raises(InputError, match=r"hand_000\.png"):
            session.open(other, session.cohort)
        assert session.study is not other


class TestHeatmaps:
    def test_they_show_the_landmark_at_hand(self, viewer, session, layer_manager):
        maps = np.stack([np.full((8, 6), 0.1 * n, np.float32) for n in range(4)])
        layer_manager.heatmaps.show(NAMES, maps, np.eye(2) * 4, np.full(2, 1.5))
        session.select_landmark("capitate")
        np.testing.assert_allclose(viewer.layers["Heatmap"].data, maps[3])
        np.testing.assert_allclose(viewer.layers["All heatmaps"].data, maps.max(axis=0))
        assert viewer.layers["Heatmap"].blending == "additive"
        assert viewer.layers.index("Heatmap") < viewer.layers.index("Landmarks")

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
    @pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (1, -1, -1)])
    def test_volumes_show_the_plane_of_the_image(self, order, signs):
        # A bright voxel of the heatmap lies where its landmark does, in the slice that the viewer shows.
        shape, step = (24, 40, 32), 4
        heat_shape = tuple(shape[axis] // step for axis in order)
        matrix = np.zeros((3, 3))
        for heat_axis, (axis, sign) in enumerate(zip(order, signs, strict=True)):
            matrix[axis, heat_axis] = sign * step
        offset = (np.array(shape) - 1) / 2 - matrix @ ((np.array(heat_shape) - 1) / 2)
        bright = (1, 3, 2)
        maps = np.zeros((1, *heat_shape), np.float32)
        maps[(0, *bright)] = 1
        landmark = matrix @ bright + offset
        geometry = Geometry(shape, (2.0, 0.5, 0.5), (5.0, -3.0, 1.0), ((-1, 0, 0), (0, 1, 0), (0, 0, 1)))
        turned, matrix, offset = along_image_axes(maps, matrix, offset)
        viewer = ViewerModel()
        image = viewer.add_image(np.zeros(shape), **layer_place(geometry))
        layer = viewer.add_image(turned[0], **layer_place(geometry, matrix, offset))
        viewer.dims.set_point(range(3), image.data_to_world(landmark))
        shown = layer._data_view if hasattr(layer, "_data_view") else layer._slice.image.view
        assert shown.shape == (shape[1] // step, shape[2] // step)
        assert shown.max() == 1
        peak = np.unravel_index(np.argmax(layer.data), layer.data.shape)
        np.testing.assert_allclose(layer.data_to_world(peak), image.data_to_world(landmark), atol=1e-9)

    def test_they_go_with_their_image(self, viewer, session, layer_manager):
        layer_manager.heatmaps.show(NAMES, np.ones((4, 8, 6), np.float32), np.eye(2) * 4, np.zeros(2))
        session.step(1)
        assert "Heatmap" not in viewer.layers


def test_a_viewer_that_is_gone_takes_its_session_along(study, cohort):
    viewer = ViewerModel()
    session = get_session(viewer)
    session.open(study, cohort)
    gone = weakref.ref(session)
    session.close()
    del viewer, session
    gc.collect()
    assert gone() is None
