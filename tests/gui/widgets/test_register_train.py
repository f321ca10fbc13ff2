"""Training a registration on the images of the study, and using it."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

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
def quick(monkeypatch):
    """Trainings of a few steps."""
    from napari_landmark.registration import options

    def few(device, *, seed=0, minutes=None, weights=None):
        return options.RegistrationOptions(minutes, "cpu", seed, weights, steps=quick_steps[0])

    quick_steps = [2]
    monkeypatch.setattr(options, "default_registration_options", few)
    monkeypatch.setattr(options, "WORKING_SIZE", {2: 64, 3: 64})
    return quick_steps


@pytest.fixture
def studied(study, cohort, qtbot):
    viewer = ViewerModel()
    get_session(viewer).open(study, cohort)
    widget = RegisterWidget(viewer)
    qtbot.addWidget(widget)
    yield viewer, widget
    get_session(viewer).close()


def test_training_and_using_it(studied, hands, qtbot, quick, tmp_path):
    from skimage.io import imread, imsave

    viewer, widget = studied
    picture = imread(hands[0] / "hand_001.png")
    (tmp_path / "maps").mkdir()
    imsave(tmp_path / "maps" / "hand_001.png", (picture > 100).astype(np.uint8), check_contrast=False)
    widget.training.labels.value = tmp_path / "maps"
    widget.training.run.click()
    wait(qtbot, viewer)
    assert "Trained" in widget.training.stage_text.text()
    (model,) = get_session(viewer).models.registration_models
    assert widget.form.model_folder == model.folder
    for name in ("hand_000.png", "hand_001.png"):
        viewer.add_image(imread(hands[0] / name), name=f"my {name}")
    widget.form.boxes["fixed"].value = viewer.layers["my hand_000.png"]
    widget.form.boxes["moving"].value = viewer.layers["my hand_001.png"]
    widget.run.click()
    wait(qtbot, viewer)
    assert "Warped my hand_001.png on my hand_000.png" in viewer.layers


def test_cancelling_keeps_the_model(studied, qtbot, quick):
    viewer, widget = studied
    quick[0] = 100_000
    widget.training.run.click()
    qtbot.waitUntil(lambda: bool(widget.training.plot.stages), timeout=60_000)
    assert not widget.training.run.isEnabled()
    get_session(viewer).job.cancel()
    wait(qtbot, viewer)
    assert widget.form.model.value == "Model 001 of this study (stopped early)"
    assert widget.training.resume.isVisibleTo(widget.training)
    widget.training.minutes.value = 0.2
    widget.training.resume.click()
    wait(qtbot, viewer)
    assert "Trained" in widget.training.stage_text.text()
    (model,) = get_session(viewer).models.registration_models
    assert (model.folder.name, model.stopped_early) == ("001", False)
    assert not widget.training.resume.isVisibleTo(widget.training)


def test_resuming_asks_for_the_label_maps(studied, hands, qtbot, quick, tmp_path):
    from skimage.io import imread, imsave

    viewer, widget = studied
    quick[0] = 100_000
    picture = imread(hands[0] / "hand_001.png")
    (tmp_path / "maps").mkdir()
    imsave(tmp_path / "maps" / "hand_001.png", (picture > 100).astype(np.uint8), check_contrast=False)
    widget.training.labels.value = tmp_path / "maps"
    widget.training.run.click()
    qtbot.waitUntil(lambda: bool(widget.training.plot.stages), timeout=60_000)
    get_session(viewer).job.cancel()
    wait(qtbot, viewer)
    widget.training.labels.value = None
    widget.training.resume.click()
    wait(qtbot, viewer)
    assert "label maps that this training began with" in widget.training.stage_text.text()


def test_without_a_study_there_is_nothing_to_train_on(widget):
    assert not widget.training.run.isEnabled()
    assert widget.form.model.value == NO_MODEL
