"""Loss of a batch of pairs in the course of a training."""

import numpy as np
import pytest
import torch
from PIL import Image

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.learning.device import choose_device
from napari_landmark.registration.options import RegistrationOptions
from napari_landmark.registration.training.batches import RegistrationBatches
from napari_landmark.registration.training.dataset import RegistrationDataset
from napari_landmark.registration.training.trainer import Trainer


@pytest.fixture
def loss_at(tmp_path, drawn):
    """Function: loss of one and the same batch at a done part of the training, 0..1, with given label maps."""
    for number in range(2):  # large enough for several scales
        Image.fromarray(drawn.texture((128, 128), seed=number)).save(tmp_path / f"{number}.png")
    cohort = Cohort.from_folder(tmp_path)

    def loss_of(**labels):
        torch.manual_seed(0)
        generator = torch.Generator()
        maps = {f"{name}.png": array for name, array in labels.items()}
        dataset = RegistrationDataset(cohort, maps, choose_device("cpu"))
        trainer = Trainer(dataset, RegistrationOptions(device="cpu"))
        batches = RegistrationBatches(dataset, size=trainer.batch, warped_labels=False, generator=generator)

        def loss(fraction):
            generator.manual_seed(1)
            return float(trainer.loss(batches.draw(fraction)).detach())

        loss.parts = trainer, batches, generator
        return loss

    return loss_of


def test_coarse_scales_are_used_until_60_percent(loss_at):
    loss = loss_at()
    assert loss(0.0) == pytest.approx(loss(0.59), abs=1e-6)
    assert loss(0.6) == pytest.approx(loss(1.0), abs=1e-6)
    assert abs(loss(0.59) - loss(0.6)) > 1e-3


def test_the_registration_begins_at_20_percent(loss_at):
    labels = np.zeros((128, 128), np.uint8)
    labels[40:80, 50:90] = 1
    loss = loss_at(**{"0": labels})
    assert loss(0.2) > loss(0.19) + 0.3  # a further loss, which is not negative


def test_the_loss_of_a_batch_draws_nothing(loss_at):
    labels = np.zeros((128, 128), np.uint8)
    labels[40:80, 50:90] = 1
    trainer, batches, generator = loss_at(**{"0": labels}).parts
    batch = batches.draw(0.7)
    assert batch.segmentation.others is not None
    state = generator.get_state()
    first, second = (float(trainer.loss(batch).detach()) for _ in range(2))
    assert first == pytest.approx(second, rel=1e-3)  # batch normalization has moved in between
    assert torch.equal(generator.get_state(), state)
