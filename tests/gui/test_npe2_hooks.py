"""Readers, writers, sample data, and the manifest that declares them."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Points
from npe2 import PluginManifest

from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.landmarks import Landmark, LandmarkSet, Status
from napari_landmark.gui import npe2_hooks as hooks
from napari_landmark.gui.preferences import DEVICES, WORKING_SIZES
from napari_landmark.gui.presets import PRESETS
from napari_landmark.synthetic import sample

MANIFEST = Path(hooks.__file__).parents[1] / "napari.yaml"


class TestManifest:
    def test_every_command_can_be_found(self):
        manifest = PluginManifest.from_file(MANIFEST)
        manifest.validate_imports()
        for command in manifest.contributions.commands:
            module, name = command.python_name.split(":")
            assert callable(getattr(import_module(module), name))

    def test_preferences_offer_what_there_is(self):
        section = PluginManifest.from_file(MANIFEST).contributions.configurations["general"]
        assert tuple(section.properties["device"].enum) == DEVICES
        assert tuple(section.properties["working_resolution"].enum) == WORKING_SIZES[2]

    def test_widgets_and_hooks_open_without_torch(self):
        script = (
            "import sys; from napari_landmark.gui.widgets import annotate, register, review, train; "
            "from napari_landmark.gui import npe2_hooks; "
            "sys.exit('torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


class TestReader:
    @pytest.mark.parametrize("name", ["a.landmarks.csv", "A.MRK.JSON", "b.fcsv", "c.tps"])
    def test_it_takes_landmark_files(self, name):
        assert hooks.get_reader(name) is not None
        assert hooks.get_reader([name, name]) is not None

    @pytest.mark.parametrize("name", ["a.csv", "a.png", "", [], None, ["a.tps", "b.png"], 3])
    def test_it_declines_everything_else(self, name):
        assert hooks.get_reader(name) is None

    def test_a_table_becomes_points_of_each_image(self, tmp_path):
        path = tmp_path / "all.landmarks.csv"
        path.write_text("image,landmark,x,y\na.png,one,3,4\na.png,two,,\nb.png,one,5,6\n")
        first, second = hooks.get_reader(str(path))(str(path))
        np.testing.assert_allclose(first[0], [(4, 3)])
        assert first[2] == "points"
        layer = Points(second[0], **second[1])
        assert list(layer.features["name"]) == ["one"]

    def test_slicer_points_lie_in_millimetres(self, tmp_path):
        path = tmp_path / "a.mrk.json"
        layer = Points([(1, 2, 3)], features={"name": ["one"]}, units=("mm",) * 3, scale=(2, 0.5, 0.5))
        assert hooks.write_slicer(str(path), *layer.as_layer_data_tuple()[:2]) == [str(path)]
        ((data, attributes, _),) = hooks.get_reader(str(path))(str(path))
        again = Points(data, **attributes)
        np.testing.assert_allclose(again.data_to_world(data[0]), layer.data_to_world((1, 2, 3)))


class TestWriter:
    def test_names_and_states_are_kept(self, tmp_path):
        layer = Points(
            [(4, 3), (6, 5)],
            features={"name": ["one", "two"], "status": ["placed", "corrected"]},
            metadata={"napari_landmark": {"image": "a.png"}},
        )
        data, attributes, _ = layer.as_layer_data_tuple()
        assert hooks.write_csv(str(tmp_path / "out"), data, attributes) == [str(tmp_path / "out.csv")]
        marks = read_landmarks(tmp_path / "out.csv")["a.png"]
        assert marks["two"] == Landmark("two", (6, 5), Status.CORRECTED)

    def test_points_without_names_get_numbers(self, tmp_path):
        data, attributes, _ = Points([(4, 3)], name="dots").as_layer_data_tuple()
        hooks.write_csv(str(tmp_path / "out.csv"), data, attributes)
        assert list(read_landmarks(tmp_path / "out.csv")["dots"]) == ["landmark 1"]

    @pytest.mark.parametrize(
        "transform",
        [
            {"rotate": [[0, -1], [1, 0]]},
            {"rotate": 30},
            {"shear": [0.5]},
            {
                "rotate": 20,
                "shear": [0.3],
                "translate": (7, -2),
                "affine": [[1, 0, 3], [0, -1, 4], [0, 0, 1]],
            },
        ],
    )
    def test_rotated_and_sheared_layers_keep_their_world(self, tmp_path, transform):
        layer = Points([(4, 3)], features={"name": ["one"]}, scale=(2, 0.5), units=("mm", "mm"), **transform)
        data, attributes, _ = layer.as_layer_data_tuple()
        hooks.write_slicer(str(tmp_path / "a.mrk.json"), data, attributes)
        y, x = layer.data_to_world((4, 3))
        (point,) = json.loads((tmp_path / "a.mrk.json").read_text())["markups"][0]["controlPoints"]
        np.testing.assert_allclose(point["position"][:2], (x, y), atol=1e-6)

    def test_a_status_column_of_another_program_is_no_error(self, tmp_path):
        layer = Points(
            [(4, 3), (6, 5)], features={"name": ["one", "two"], "status": ["placed", "done by Ann"]}
        )
        hooks.write_csv(str(tmp_path / "out.csv"), *layer.as_layer_data_tuple()[:2])
        (marks,) = read_landmarks(tmp_path / "out.csv").values()
        assert {mark.status for mark in marks.values()} == {Status.PLACED}


class TestSampleData:
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch):
        monkeypatch.setattr(sample, "TRAINING_IMAGES", 2)
        monkeypatch.setattr(sample, "HELD_OUT_IMAGES", 1)

    def test_the_first_hand_says_where_the_others_are(self):
        ((array, attributes, kind),) = hooks.hand_phantoms()
        file = Path(attributes["metadata"]["napari_landmark"]["file"])
        assert kind == "image"
        assert array.ndim == 2
        assert len(list(file.parent.glob("*.png"))) == 2
        assert attributes["metadata"]["napari_landmark"]["preset"] in PRESETS

    def test_the_annotated_one_brings_its_landmarks(self):
        _, (positions, attributes, _) = hooks.annotated_hand_phantoms()
        assert len(positions) == len(attributes["features"]["name"]) == 23

    def test_the_first_head_and_its_landmarks(self, monkeypatch):
        from napari_landmark.synthetic import head_phantom, volume_sample

        monkeypatch.setattr(volume_sample, "TRAINING_VOLUMES", 2)
        monkeypatch.setattr(volume_sample, "HELD_OUT_VOLUMES", 1)
        monkeypatch.setattr(volume_sample, "head_phantom", lambda seed: head_phantom(seed, size=24))
        ((array, attributes, kind),) = hooks.head_phantoms()
        about = attributes["metadata"]["napari_landmark"]
        assert (kind, array.ndim) == ("image", 3)
        assert len(list(Path(about["file"]).parent.glob("*.nii.gz"))) == 2
        _, (positions, points, _) = hooks.annotated_head_phantoms()
        assert tuple(points["features"]["name"]) == PRESETS[about["preset"]]().landmarks.names
        assert positions.shape == (18, 3) and all(PRESETS[about["preset"]]().landmarks.definitions)


def test_presets_are_schemas_by_their_titles():
    made = {title: make() for title, make in PRESETS.items()}
    assert {title: schema.title for title, schema in made.items()} == {title: title for title in made}
    schema = made["Lateral cephalogram, 19 landmarks (ISBI 2015)"].landmarks
    assert len(schema) == 19
    assert schema.names[:4] == ("Sella", "Nasion", "Orbitale", "Porion")
    assert LandmarkSet(schema).ndim is None
