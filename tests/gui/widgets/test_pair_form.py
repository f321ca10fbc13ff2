"""The model of a pair and the weights of its regions."""

from __future__ import annotations

import json

import pytest

from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.widgets.pair_form import NO_MODEL
from napari_landmark.gui.widgets.register import RegisterWidget

from ..pairs import wait


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


def test_the_table_starts_from_the_weights_of_the_model(
    widget, labelled, qtbot, known_registration, tmp_path
):
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
    spin.setValue(1.0)  # a weight of the user stays, whichever model
    widget.form.take_folder(tmp_path / "two")
    assert spin.value() == 1.0
    assert table.weights() == {3: 1.0}
    widget.form.model.value = NO_MODEL
    assert table.weights() == {3: 1.0}


def test_a_folder_that_holds_no_model_is_told(widget, pair_viewer, qtbot, tmp_path, heard):
    widget.form.take_folder(tmp_path)
    assert widget.form.model_folder == tmp_path
    widget.run.click()
    wait(qtbot, pair_viewer)
    assert "holds no registration model" in heard[0][1]
