"""Choice of a device, its precision, and the message where there is none of that name."""

from __future__ import annotations

import pytest
import torch

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.learning import device as device_module
from napari_landmark.learning.device import Device, choose_device


@pytest.fixture
def devices(monkeypatch):
    """Function that imitates a machine: a card of that compute capability, a graphics chip that can train or not."""

    def imitate(*, card=None, chip=None):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: card is not None)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: int(card is not None))
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: card)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: chip is not None)
        monkeypatch.setattr(device_module, "can_train", lambda device: bool(chip))

    return imitate


def test_auto_takes_the_fastest_available(devices):
    devices()
    assert choose_device().torch_device.type == "cpu"
    devices(chip=True)
    assert choose_device("auto").torch_device.type == "mps"
    devices(card=(9, 0), chip=True)
    assert choose_device("auto").torch_device.type == "cuda"


def test_auto_leaves_out_a_chip_that_lacks_operations(devices):
    devices(chip=False)
    assert choose_device("auto").torch_device.type == "cpu"


def test_a_chip_that_lacks_operations_is_refused_by_name(devices):
    devices(chip=False)
    with pytest.raises(InputError, match=r"'mps' cannot be used: torch .* lacks operations") as caught:
        choose_device("mps")
    assert caught.value.code is ErrorCode.DEVICE_UNAVAILABLE


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [
        ((7, 0), None),
        ((7, 5), None),
        ((8, 0), torch.bfloat16),
        ((8, 9), torch.bfloat16),
        ((12, 0), torch.bfloat16),
    ],
)
def test_bfloat16_only_on_cards_that_have_it(devices, capability, dtype):
    devices(card=capability)
    assert choose_device("cuda").autocast_dtype is dtype


@pytest.mark.parametrize("name", ["tpu", "", "cpu:x", "cpu:1:2", "CPU", "cuda0"])
def test_an_unknown_name(name):
    with pytest.raises(InputError, match="is unknown: choose auto, cpu, cuda or mps"):
        choose_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_an_absent_device(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="not available here") as caught:
        choose_device(name)
    assert caught.value.code is ErrorCode.DEVICE_UNAVAILABLE


def test_an_absent_card_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="there are 1"):
        choose_device("cuda:3")


def test_choosing_a_device_keeps_the_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        choose_device("cpu")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_text_for_the_user():
    assert str(choose_device("cpu")).startswith("cpu (")


def test_precision_of_the_forward_pass():
    layer, values = torch.nn.Linear(4, 4), torch.rand(2, 4)
    for dtype in (torch.bfloat16, None):
        with Device(torch.device("cpu"), dtype).autocast():
            assert layer(values).dtype == (dtype or torch.float32)
