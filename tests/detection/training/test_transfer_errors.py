"""Errors measured by transfers between the images of a training."""

from __future__ import annotations

import numpy as np
import pytest

from napari_landmark.data.error_covariance import mean_radial_error
from napari_landmark.detection.model.serialization import read_model, save_model
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training.transfer_errors import measure_stated_errors
from napari_landmark.progress import CancelToken


@pytest.fixture
def model(study):
    return load_model(study, device="cpu")


def test_a_training_states_errors_that_predictions_carry(model, phantoms):
    assert model.stated_errors is not None
    landmarks = model.detect(phantoms[2].image).landmarks
    errors, covariances = landmarks.expected_errors(), landmarks.covariances()
    assert np.isfinite(covariances).all()
    assert mean_radial_error(covariances) == pytest.approx(errors, rel=1e-4)
    model.stated_errors = None
    plain = model.detect(phantoms[2].image).landmarks
    assert np.array_equal(plain.positions(), landmarks.positions())  # errors move nothing
    assert np.isnan(plain.covariances()).all()


def test_measured_again_the_same(model, cohort, study):
    aside = {cohort.index(study.template)}
    found = [measure_stated_errors(model, cohort, aside=aside) for _ in range(2)]
    assert np.array_equal(found[0].factors, found[1].factors)
    assert (found[0].factors > 0).all()
    # Not less than two clicks: one in the template, one in the image.
    least = np.sqrt(2) * 0.002 * max(model.canvas)
    assert mean_radial_error(found[0].covariances).min() > 0.7 * least


def test_too_few_images_and_a_cancelled_one(model, cohort):
    assert measure_stated_errors(model, cohort, aside=range(3, len(cohort))) is None
    cancel = CancelToken()
    cancel.cancel()
    assert measure_stated_errors(model, cohort, cancel=cancel) is None


def test_kept_with_the_model(model, tmp_path):
    save_model(model, tmp_path)
    again = read_model(tmp_path)
    assert np.allclose(again.stated_errors.factors, model.stated_errors.factors, atol=1e-5)
    assert again.digest() == model.digest()
