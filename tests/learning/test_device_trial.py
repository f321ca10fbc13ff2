"""Trial of a device: operations that it lacks are found without a training."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.learning import device_trial
from napari_landmark.learning.device_trial import can_train

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _untried():
    can_train.cache_clear()
    yield
    can_train.cache_clear()


def test_the_processor_can_train_and_the_random_state_is_kept():
    state = torch.get_rng_state()
    assert can_train(CPU)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            NotImplementedError,
            "The operator 'aten::grid_sampler_3d' is not currently implemented for the MPS device.",
        ),
        (RuntimeError, "MPS: Unsupported Border padding mode"),
        (TypeError, "Cannot convert a MPS Tensor to float64 dtype"),
    ],
)
def test_a_missing_operation_of_volumes_is_found_once(monkeypatch, error, message):
    tried = []

    def grid_sample(maps, grid, **options):
        tried.append(maps.ndim)
        if maps.ndim == 5:
            raise error(message)
        return original(maps, grid, **options)

    original = torch.nn.functional.grid_sample
    monkeypatch.setattr(torch.nn.functional, "grid_sample", grid_sample)
    assert not can_train(CPU)
    assert not can_train(CPU)
    assert tried.count(5) == 1


def test_a_missing_backward_pass_is_found(monkeypatch):
    class NoBackward(torch.autograd.Function):
        @staticmethod
        def forward(context, values):
            return values.clone()

        @staticmethod
        def backward(context, gradient):
            raise NotImplementedError("aten::grid_sampler_2d_backward")

    original = device_trial.sample
    monkeypatch.setattr(
        device_trial, "sample", lambda *args, **options: NoBackward.apply(original(*args, **options))
    )
    assert not can_train(CPU)
