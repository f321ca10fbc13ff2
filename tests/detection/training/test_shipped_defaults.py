"""The options that users get, with their networks, trained for a few steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training.options import default_options
from napari_landmark.detection.training.stages import embedding_config
from napari_landmark.detection.training.train import train
from napari_landmark.learning.device import choose_device


def test_a_training_with_the_defaults(fresh, cohort, phantoms):
    steps = {
        "self_steps": 2,
        "cross_steps": 1,
        "patch_steps": 2,
        "detector_steps": 2,
        "retrain_steps": 1,
        "patch_detector_steps": 2,
    }
    options = replace(default_options(choose_device("cpu")), limit_minutes=None, **steps)
    study = fresh()
    report = train(study, cohort, options=options)
    assert not report.cancelled
    assert [history.steps for history in report.histories] == [2, 1, 2, 2, 1, 2]
    assert all(np.isfinite(history.losses[0][2]) for history in report.histories)
    model = load_model(study, device="cpu")
    assert model.embedding.config == embedding_config(cohort.canvas)
    found = model.detect(phantoms[1].image).landmarks
    assert cohort.geometry(1).contains(found.positions(), margin=32).all()
    assert (found.expected_errors() > 0).all()
    # From the same pixels: networks of two steps jump with the rounding of grey values in the cache.
    again = model.detect_in_cohort(cohort.posed({1: report.poses[cohort.names[1]]}), 1).landmarks
    np.testing.assert_allclose(again.positions(), report.predictions[cohort.names[1]].positions(), atol=1e-2)
