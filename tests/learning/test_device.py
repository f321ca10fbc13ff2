"""Which device is chosen, and what is said where there is none of that name."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.learning import device as device_module
from napari_landmark.learning.device import Device, available_cores, choose_device


def test_auto_takes_what_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device().torch_device.type == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto").torch_device.type == "mps"


@pytest.mark.parametrize("name", ["tpu", "", "cpu:x", "cpu:1:2", "CPU", "cuda0"])
def test_an_unknown_name(name):
    with pytest.raises(InputError, match="is unknown: choose auto, cpu, cuda or mps"):
        choose_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_a_device_that_is_not_there(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="not available here") as caught:
        choose_device(name)
    assert caught.value.code is ErrorCode.DEVICE_UNAVAILABLE


def test_a_card_with_a_number_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="there are 1"):
        choose_device("cuda:3")


def test_cores_of_this_process(monkeypatch):
    assert 1 <= available_cores() <= 4096
    before = torch.get_num_threads()
    monkeypatch.setattr(device_module, "available_cores", lambda: 3)
    choose_device("cpu")
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


def test_text_for_people():
    assert str(choose_device("cpu")).startswith("cpu (")


def test_precision_of_the_forward_pass():
    layer, values = torch.nn.Linear(4, 4), torch.rand(2, 4)
    for dtype in (torch.bfloat16, None):
        with Device(torch.device("cpu"), dtype).autocast():
            assert layer(values).dtype == (dtype or torch.float32)
