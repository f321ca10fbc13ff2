"""Errors measured by transfers between the images of a training."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.error_covariance import mean_radial_error
from napari_landmark.detection.model.landmark_kriging import krige
from napari_landmark.detection.model.serialization import read_model, save_model
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training.transfer_errors import measure_stated_errors
from napari_landmark.progress import CancelToken
from napari_landmark.synthetic import hand_phantom


@pytest.fixture
def model(study):
    return load_model(study, device="cpu")


@pytest.fixture(scope="module")
def hands(tmp_path_factory, phantoms):
    """Seven hands as a cohort."""
    folder = tmp_path_factory.mktemp("hands")
    for seed in range(7):
        image = hand_phantom(seed, size=phantoms[0].image.array.shape).image
        Image.fromarray(image.array).save(folder / image.name)
    return Cohort.from_folder(folder)


def test_measured_and_carried_by_predictions(model, hands, phantoms, tmp_path):
    plain = model.detect(phantoms[2].image).landmarks
    assert np.isnan(plain.covariances()).all()
    found, again = (measure_stated_errors(model, hands, aside=[0]) for _ in range(2))
    assert np.array_equal(found.factors, again.factors)
    assert (found.factors > 0).all()
    # Not less than two clicks, one in the template and one in the image, but for the shrinkage.
    least = np.sqrt(2) * 0.002 * max(model.canvas)
    assert mean_radial_error(found.covariances).min() > 0.7 * least
    model.stated_errors = found
    stated = model.detect(phantoms[2].image).landmarks
    template = model.descriptors.positions[0].numpy().astype(float)
    kriged = krige(template, plain.positions(), stated.covariances() * found.shares[:, None, None])
    first, last = np.minimum(plain.positions(), -0.5), np.maximum(plain.positions(), 63.5)
    np.testing.assert_allclose(stated.positions(), np.clip(kriged, first, last), atol=1e-6)
    assert stated.expected_errors() == pytest.approx(plain.expected_errors() * found.factors)
    assert mean_radial_error(stated.covariances()) == pytest.approx(stated.expected_errors(), rel=1e-6)
    save_model(model, tmp_path)
    kept = read_model(tmp_path)
    assert np.allclose(kept.stated_errors.factors, found.factors, atol=1e-5)
    assert kept.digest() != load_digest_without(kept)


def load_digest_without(model):
    """Digest of a model when it states nothing."""
    model.stated_errors = None
    return model.digest()


def test_too_few_images_and_a_cancelled_one(model, hands):
    assert measure_stated_errors(model, hands, aside=range(3, len(hands))) is None
    cancel = CancelToken()
    cancel.cancel()
    assert measure_stated_errors(model, hands, cancel=cancel) is None
