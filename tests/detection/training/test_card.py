"""The whole training on a graphics card; left out where there is none."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.data.study.study import Study
from napari_landmark.detection.model.store import load_model
from napari_landmark.detection.training.options import TrainingOptions
from napari_landmark.detection.training.train import train
from napari_landmark.learning.batches import KeptImages, kept_images, load_batch
from napari_landmark.learning.device import choose_device
from napari_landmark.synthetic import SCHEMA

CARD = "cuda"
FEW = TrainingOptions(
    None,
    CARD,
    self_steps=3,
    cross_steps=2,
    patch_steps=5,
    detector_steps=3,
    retrain_steps=2,
    patch_detector_steps=2,
    batch_factor=2,
)
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no graphics card")


@pytest.fixture
def study_on_card(tmp_path, cohort, phantoms, small_close_ups):
    first = phantoms[0]
    study = Study.create(tmp_path / "study", schema=SCHEMA, images=cohort.folder, template=first.image.name)
    study.save_annotations(first.image.name, first.landmarks)
    return study


def test_a_training_is_stopped_and_resumed(study_on_card, cohort, cancel_in):
    assert isinstance(kept_images(cohort, choose_device(CARD)), KeptImages)
    assert train(study_on_card, cohort, options=FEW, cancel=cancel_in("detector", 1)).cancelled
    report = train(study_on_card, cohort, options=FEW, resume=True)
    assert not report.cancelled
    assert [history.steps for history in report.histories] == [3, 2, 5, 3, 2, 2]
    assert set(report.predictions) == set(cohort.names)


def test_a_model_of_a_card_sees_the_same_on_a_processor(study_on_card, cohort):
    train(study_on_card, cohort, options=FEW)
    seen = []
    for name in (CARD, "cpu"):
        model, device = load_model(study_on_card, device=name), choose_device(name)
        images = load_batch(cohort, [0], 1, device)
        seen.append([m.cpu() for m in model.embedding.embed(images)])
    for on_card, on_processor in zip(*seen, strict=True):
        assert (on_card * on_processor).sum(1).min() > 0.98  # a card computes in bfloat16
