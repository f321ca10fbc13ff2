"""Errors in annotated images that were held out."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.detection.detector.pseudo_labels import PseudoLabels
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training.held_out_errors import FEWEST_ANNOTATED, held_out_errors
from napari_landmark.detection.training.transfer_errors import measure_stated_errors
from napari_landmark.learning.loop import Budget
from napari_landmark.progress import CancelToken
from napari_landmark.synthetic import hand_phantom

COUNT = 8
FEW = Budget(4)


@pytest.fixture
def model(study):
    return load_model(study, device="cpu")


@pytest.fixture(scope="module")
def drawn(phantoms):
    return [hand_phantom(seed, size=phantoms[0].image.array.shape) for seed in range(COUNT)]


@pytest.fixture(scope="module")
def hands(tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp("hands")
    for phantom in drawn:
        Image.fromarray(phantom.image.array).save(folder / phantom.image.name)
    return Cohort.from_folder(folder)


@pytest.fixture
def labels(hands, drawn):
    """Makes pseudo-labels in all hands, of which the first ones are annotated."""
    truth = {phantom.image.name: phantom.landmarks.positions(2) for phantom in drawn}
    positions = np.stack(
        [hands.canvas_transform(number).to_working(truth[name]) for number, name in enumerate(hands.names)]
    )

    def make(annotated):
        return PseudoLabels(
            positions.copy(), np.ones(positions.shape[:2]), 4.0, None, tuple(range(annotated))
        )

    return make


def test_every_second_annotated_image_and_no_other(model, hands, labels):
    known = labels(7)
    known.weights[3, 5] = 0  # not placed in an image that is held out
    before = model.digest()
    found, again = (held_out_errors(model, hands, known, budget=FEW, seed=3) for _ in range(2))
    assert found.shape == (3, known.weights.shape[1], 2)
    assert np.isnan(found[1, 5]).all()
    assert np.isfinite(np.delete(found.reshape(-1, 2), 1 * found.shape[1] + 5, axis=0)).all()
    assert np.array_equal(found, again, equal_nan=True)
    assert model.digest() == before  # the model that is used learns nothing


def test_the_images_held_out_teach_nothing(model, hands, labels):
    """Their positions may be anything: what is found in them stays."""
    right, wrong = labels(7), labels(7)
    wrong.positions[[1, 3, 5]] += 9.0
    one, other = (held_out_errors(model, hands, known, budget=FEW, seed=0) for known in (right, wrong))
    assert one == pytest.approx(other + 9.0, abs=1e-4)


def test_none_with_too_few_or_after_a_cancel(model, hands, labels):
    assert held_out_errors(model, hands, labels(FEWEST_ANNOTATED - 1), budget=FEW, seed=0) is None
    cancel = CancelToken()
    cancel.cancel()
    assert held_out_errors(model, hands, labels(7), budget=FEW, seed=0, cancel=cancel) is None


def test_they_tell_the_level_the_more_the_more_there_are(model, hands):
    count = len(model.schema)
    plain = measure_stated_errors(model, hands, annotated=[0])
    far = np.full((30, count, 2), 0.0)
    far[..., 0] = 10 * max(model.canvas)  # as good as no other value has a say
    few, many = (
        measure_stated_errors(model, hands, annotated=[0], held_out=far[:k]).factors / plain.factors
        for k in (3, 30)
    )
    assert (few > 2).all()
    assert (many > few).all()
    one = np.full((12, count, 2), np.nan)
    one[:, 4] = far[:12, 4]  # a single landmark
    of_one = measure_stated_errors(model, hands, annotated=[0], held_out=one).factors / plain.factors
    assert of_one.argmax() == 4


def test_where_all_images_are_annotated(model, hands):
    everyone = range(len(hands))
    assert measure_stated_errors(model, hands, annotated=everyone) is None
    held = np.ones((4, len(model.schema), 2))
    assert measure_stated_errors(model, hands, annotated=everyone, held_out=held) is not None
