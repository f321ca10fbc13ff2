"""A registration of two layers as long work."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from napari_landmark.gui.jobs.register import register_job
from napari_landmark.gui.layers.pair_inputs import ChosenLayers, read_pair
from napari_landmark.gui.layers.viewer_session import get_session
from napari_landmark.gui.session.running_job import JobKind
from napari_landmark.registration.losses import LossWeights
from napari_landmark.registration.model import RegistrationModel

from ..pairs import FIXED_CENTRE, SHIFT, all_chosen, wait


def test_a_real_registration_of_two_layers(pair_viewer, qtbot):
    """A few steps on small images register a spot."""
    pair = read_pair(ChosenLayers(pair_viewer.layers["first"], pair_viewer.layers["second"]))
    session, found = get_session(pair_viewer), []
    job = register_job(session, pair, device="cpu")
    job.succeeded.connect(found.append)
    session.run(job)
    wait(qtbot, pair_viewer)
    carried = found[0].registration.transform.to_moving([FIXED_CENTRE])[0]
    assert np.linalg.norm(carried - (FIXED_CENTRE + SHIFT)) < 2.0
    assert found[0].measures.similarity[1] > 0.95
    assert job.kind is JobKind.REGISTER


def test_the_weights_of_the_model_hold_in_the_viewer(labelled, qtbot, known_registration, monkeypatch):
    model = SimpleNamespace(weights=LossWeights(dice=0.5, regions={3: 2.5, 8: 7.0}))
    monkeypatch.setattr(RegistrationModel, "load", lambda folder, device: model)
    session = get_session(labelled)
    session.run(register_job(session, read_pair(all_chosen(labelled)), model=Path(), weights={3: 1.0}))
    wait(qtbot, labelled)
    assert known_registration[0]["options"].weights == LossWeights(dice=0.5, regions={3: 1.0, 8: 7.0})
