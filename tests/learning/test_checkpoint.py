"""Tensors on disk come back as they were, and damaged files are named."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import nn

from napari_landmark.data.errors import InputError
from napari_landmark.learning.checkpoint import load_tensors, load_weights, save_tensors


def test_there_and_back(tmp_path):
    path = tmp_path / "new folder" / "x.safetensors"
    tensors = {
        "a": torch.rand(3, 4, 5).to(memory_format=torch.contiguous_format).transpose(0, 1),
        "b": torch.tensor([1, 2, 3], dtype=torch.uint8),
        "half": torch.rand(4).to(torch.bfloat16),
        "count": torch.tensor(7),
    }
    save_tensors(path, tensors, metadata={"who": "é"})
    found, text = load_tensors(path)
    assert set(found) == set(tensors)
    for name, value in tensors.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)
    assert text == {"who": "é"}
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_shared_memory_is_written_twice(tmp_path):
    tensor = torch.rand(4, requires_grad=True)
    save_tensors(tmp_path / "x", {"a": tensor, "b": tensor.detach().clone()})
    assert torch.equal(load_tensors(tmp_path / "x")[0]["a"], tensor)


@pytest.mark.parametrize(
    "content",
    [b"", b"short", b"\xff" * 200, pickle.dumps({"a": 1}), (8).to_bytes(8, "little") + b"not json"],
)
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.safetensors: not a readable model file"):
        load_tensors(path)


def test_a_cut_file_is_named(tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"a": torch.rand(100)})
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match=r"x\.safetensors"):
        load_tensors(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"x\.safetensors"):
        load_tensors(tmp_path / "x.safetensors")


def test_weights_that_do_not_fit(tmp_path):
    path = tmp_path / "x.safetensors"
    for tensors in ({}, {"weight": torch.zeros(9, 9), "bias": torch.zeros(3)}):
        with pytest.raises(InputError, match=r"x\.safetensors: its weights do not fit"):
            load_weights(nn.Linear(2, 3), tensors, path=path)


def test_weights_that_fit(tmp_path):
    source, target = nn.Linear(2, 3), nn.Linear(2, 3)
    load_weights(target, source.state_dict(), path=tmp_path)
    assert torch.equal(source.weight, target.weight)
