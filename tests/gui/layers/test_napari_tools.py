"""napari's own tools, in any order, never lose, shift or duplicate a landmark."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from napari.components import ViewerModel

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.data.study.study import Study
from napari_landmark.gui.layers.viewer_session import get_layer_manager, get_session

from ..conftest import NAMES, predict

_FOLDERS = itertools.count()
points = st.tuples(st.integers(2, 60), st.integers(2, 40)).map(lambda p: (float(p[0]), float(p[1])))
rows = st.integers(0, 5)
harmless = st.sampled_from(
    ["hide", "rename", "duplicate", "move down", "delete the layer", "select all", "copy", "paste", "mode",
     "edit the duplicate", "clear selection", "theirs", "next", "back", "rings", "size", "features", "cut the image"]
)  # fmt: skip
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), points),
        st.tuples(st.just("drag"), rows, points),
        st.tuples(st.just("delete"), rows),
        st.tuples(harmless),
    ),
    min_size=1,
    max_size=14,
)


class Tools:
    """What a user does with napari's tools, and what must be in the study then."""

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer, self.session = viewer, get_session(viewer)
        self.manager = get_layer_manager(viewer)
        self.expected = {name: self._positions(name) for name in self.session.names}

    def do(self, step: tuple) -> None:
        action, *values = step
        layer = self.manager.landmarks.layer
        if layer is None and action not in ("next", "back", "theirs"):
            return
        here = self.expected[self.session.current_image]
        if action == "add":
            free = [name for name in NAMES if name not in here]
            current = self.session.current_landmark
            # The current landmark where it is free, else the next free one after it.
            start = NAMES.index(current)
            order = [name for name in (*NAMES[start:], *NAMES[:start]) if name in free]
            layer.add([values[0]])
            if order:
                here[order[0]] = values[0]
        elif action == "drag" and values[0] < len(layer.data):
            row = values[0]
            name = str(layer.features["name"].iloc[row])
            layer._set_drag_start({row}, layer.data[row])
            layer._move({row}, values[1])
            layer._drag_start = None
            here[name] = values[1]
        elif action == "delete" and values[0] < len(layer.data):
            name = str(layer.features["name"].iloc[values[0]])
            layer.selected_data = {values[0]}
            layer.remove_selected()
            here.pop(name)
        else:
            self._do_harmless(action, layer)

    def _do_harmless(self, action: str, layer) -> None:
        layers = self.viewer.layers
        if action == "hide":
            layer.visible = not layer.visible
        elif action == "rename":
            layer.name = f"{layer.name} of mine"
        elif action == "duplicate":
            layers.append(type(layer)(layer.data.copy(), features=layer.features, name="copy"))
        elif action == "edit the duplicate":
            for copy in [one for one in layers if one.name.startswith("copy")]:
                copy.add([[5.0, 5.0]])
                copy.selected_data = {0}
                copy.remove_selected()
        elif action == "move down":
            layers.move(layers.index(layer), 0)
        elif action == "delete the layer":
            layers.remove(layer)
        elif action == "select all":
            layer.selected_data = set(range(len(layer.data)))
        elif action == "copy":
            layer._copy_data()
        elif action == "paste":
            layer._paste_data()
        elif action == "clear selection":
            layer.selected_data = set()
        elif action == "mode":
            layer.mode = "select" if str(layer.mode) == "add" else "add"
        elif action == "theirs":
            self.viewer.add_points([[1.0, 2.0]], name="theirs")
        elif action in ("next", "back"):
            self.session.step(1 if action == "next" else -1)
        elif action == "rings":
            rings = next((one for one in layers if one.name.startswith("Expected")), None)
            if rings is not None:
                rings.visible = not rings.visible
        elif action == "size" and len(layer.data):
            layer.size = 3
        elif action == "features":
            layer.feature_defaults["name"] = NAMES[0]
        elif action == "cut the image" and self.manager.image is not None:
            layers.remove(self.manager.image)

    def check(self) -> None:
        """The study has what was placed, in memory and in its files, and the layer shows that."""
        saved = Study.open(self.session.study.folder)
        for image, positions in self.expected.items():
            _assert_same(self._positions(image), positions)
            on_disk = {n: m.position for n, m in saved.load_annotations(image).items() if m.position}
            _assert_same(on_disk, {n: p for n, p in positions.items() if n in on_disk})
            assert set(on_disk) == {
                name
                for name, mark in self.session.result(image).items()
                if mark.status.is_manual and mark.position
            }
        layer = self.manager.landmarks.layer
        if layer is not None:
            shown = dict(zip(layer.features["name"], map(tuple, layer.data), strict=True))
            assert len(shown) == len(layer.data)
            _assert_same(shown, self.expected[self.session.current_image])

    def _positions(self, image: str) -> dict[str, tuple[float, ...]]:
        return {name: mark.position for name, mark in self.session.result(image).items() if mark.position}


def _assert_same(found, expected) -> None:
    assert set(found) == set(expected)
    for name, position in expected.items():
        np.testing.assert_allclose(found[name], position, atol=1e-5, err_msg=name)


@pytest.fixture
def make_tools(hands, preferences, tmp_path):
    made = []

    def make() -> Tools:
        folder = tmp_path / f"study {next(_FOLDERS)}"
        study = Study.create(folder, schema=LandmarkSchema(NAMES), images=hands[0])
        cohort = Cohort.from_folder(hands[0], working_size=128, cache_dir=preferences.cache)
        viewer = ViewerModel()
        session = get_session(viewer)
        session.open(study, cohort)
        predict(session, "hand_002.png", hands[1]["hand_002.png"])
        made.append(session)
        return Tools(viewer)

    yield make
    for session in made:
        session.close()


@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # a viewer is too slow to shrink with
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps)
def test_any_order_of_tools_keeps_the_landmarks(make_tools, order):
    tools = make_tools()
    for step in order:
        tools.do(step)
        tools.check()
    tools.session.close()


def test_pasted_points_are_taken_back_and_that_is_said(make_tools):
    tools = make_tools()
    texts = []
    tools.session.message.connect(lambda kind, text: texts.append(text))
    tools._heard = texts
    layer = tools.manager.landmarks.layer
    layer.add([[20.0, 15.0]])
    layer.selected_data = {0}
    layer._copy_data()
    layer._paste_data()
    assert len(layer.data) == 1
    assert "pasted" in texts[-1]
    np.testing.assert_allclose(layer.data, [(20, 15)])
    assert list(layer.features["name"]) == [NAMES[0]]


def test_data_that_a_script_sets_are_taken_back(make_tools):
    tools = make_tools()
    layer = tools.manager.landmarks.layer
    layer.add([[20.0, 15.0]])
    layer.data = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    assert len(layer.data) == 1
    np.testing.assert_allclose(layer.data, [(20, 15)])
