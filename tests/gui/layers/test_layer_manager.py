"""Layers of the current image follow the session."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.study import Study
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session

from ..conftest import NAMES, predict


@pytest.fixture
def session(viewer):
    return get_session(viewer)


class TestImage:
    def test_one_layer_shows_one_image_after_another(self, viewer, session):
        before = len(viewer.layers)
        session.step(1)
        assert len(viewer.layers) == before
        assert "hand_001.png" in viewer.layers

    def test_images_that_are_open_stay_hidden_and_it_is_said(self, study, cohort):
        viewer = ViewerModel()
        session, heard = get_session(viewer), []
        session.message.connect(lambda kind, text: heard.append(text))
        for number in (0, 1):
            about = {"napari_landmark": {"file": str(cohort.paths[number])}}
            viewer.add_image(cohort.read(number).array, name=f"mine {number}", metadata=about)
        session.open(study, cohort)
        assert "mine 0" not in viewer.layers  # it is the image of the study now
        assert not viewer.layers["mine 1"].visible
        assert heard == ["1 other image is still open, hidden: the eye in the list of layers shows it."]
        session.close()

    def test_units_and_axes_are_always_set(self, viewer, session, layer_manager, truth):
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
