"""A model folder may come from anywhere: what cannot be is refused in one line before memory is taken for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import nn

from napari_landmark.data.errors import InputError
from napari_landmark.learning.checkpoint import save_tensors
from napari_landmark.learning.device import choose_device
from napari_landmark.learning.model_files import (
    ModelFormat,
    NetworkDescription,
    parse_canvas,
    parse_config,
    sidecar_errors,
)
from napari_landmark.learning.unet import UNet, fast_memory_format

FORMAT = ModelFormat("a kind", "model of a kind", version=3, readable=(2, 3))


@dataclass(frozen=True)
class Settings:
    size: int = 2
    share: float = 0.5
    smooth: bool = True
    channels: tuple[int, ...] = (1, 2)


class TestSidecar:
    def test_there_and_back(self, tmp_path):
        FORMAT.invalidate(tmp_path / "model")
        FORMAT.write(tmp_path / "model", {"size": 3})
        assert FORMAT.read(tmp_path / "model") == {"format": "a kind", "version": 3, "size": 3}

    def test_an_invalidated_folder_holds_no_model(self, tmp_path):
        FORMAT.write(tmp_path, {})
        FORMAT.invalidate(tmp_path)
        with pytest.raises(InputError, match="holds no model of a kind"):
            FORMAT.read(tmp_path)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "cannot be read as JSON"),
            ("{", "cannot be read as JSON"),
            ("[" * 100_000, "cannot be read as JSON"),
            ('{"version":' * 50_000, "cannot be read as JSON"),
            ('{"format": "a kind", "version": ' + "9" * 10_000 + "}", "cannot be read as JSON"),
            (b"\xff\xfe\x00", "cannot be read as JSON"),
            ("[]", "is not a model of a kind"),
            ("3", "is not a model of a kind"),
            ('{"format": ["a kind"]}', "is not a model of a kind"),
            ('{"format": "another", "version": 3}', "is not a model of a kind"),
            ('{"format": "a kind"}', "another version"),
            ('{"format": "a kind", "version": 4}', "another version"),
            ('{"format": "a kind", "version": true}', "another version"),
            ('{"format": "a kind", "version": [3]}', "another version"),
        ],
    )
    def test_hostile_files(self, tmp_path, text, message):
        path = tmp_path / "model.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(InputError, match=message) as caught:
            FORMAT.read(tmp_path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_file_instead_of_a_folder(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="holds no model of a kind"):
            FORMAT.read(tmp_path / "file")

    @pytest.mark.parametrize(
        "error", [KeyError("size"), TypeError("x"), OverflowError("x"), RuntimeError("a\nb")]
    )
    def test_errors_of_values_name_the_file(self, tmp_path, error):
        with (
            pytest.raises(InputError, match=r"model\.json: is not a complete model description") as caught,
            sidecar_errors(tmp_path),
        ):
            raise error
        assert "\n" not in str(caught.value)


class TestConfig:
    def test_values_of_every_type(self):
        values = json.loads('{"size": 3, "share": 1, "smooth": false, "channels": [4, 5]}')
        assert parse_config(Settings, values) == Settings(3, 1, False, (4, 5))
        assert parse_config(Settings, {}) == Settings()

    @pytest.mark.parametrize(
        "values",
        [
            None,
            [],
            "text",
            {"unknown": 1},
            {"size": 1.5},
            {"size": True},
            {"size": "2"},
            {"size": -1},
            {"size": 10**30},
            {"size": None},
            {"share": float("nan")},
            {"share": float("inf")},
            {"share": -0.1},
            {"share": "0.5"},
            {"share": 10**400},
            {"smooth": 1},
            {"channels": 3},
            {"channels": [1, "2"]},
            {"channels": [[1]]},
            {"channels": {"0": 1}},
        ],
    )
    def test_what_cannot_be_is_refused(self, values):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            parse_config(Settings, values)


class TestCanvas:
    def test_two_and_three_sides(self):
        assert parse_canvas([64, 96], multiple=32) == (64, 96)
        assert parse_canvas([64, 96, 32]) == (64, 96, 32)

    @pytest.mark.parametrize(
        "values",
        [
            None,
            "64",
            {},
            [],
            [64],
            [64] * 4,
            [0, 64],
            [-64, 64],
            [64.0, 64],
            [True, 64],
            [10**7, 64],
            [64, 65],
        ],
    )
    def test_what_cannot_be_is_refused(self, values):
        with pytest.raises((TypeError, ValueError)):
            parse_canvas(values, multiple=32)


class TestNetwork:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "weights.safetensors"
        save_tensors(path, nn.Linear(3, 2).state_dict())
        return path

    def test_there_and_back(self, tmp_path):
        network = nn.Linear(3, 2)
        path = tmp_path / "weights.safetensors"
        save_tensors(path, network.state_dict())
        again = NetworkDescription.of(partial(nn.Linear, 3, 2)).read(path, choose_device("cpu"))
        assert torch.equal(again.weight, network.weight)
        assert not again.training

    @pytest.mark.parametrize("dims", [2, 3])
    def test_convolutions_lie_in_the_fastest_layout(self, tmp_path, dims):
        path, build = tmp_path / "weights.safetensors", partial(UNet, spatial_dims=dims, channels=(4,) * 5)
        save_tensors(path, build().state_dict())
        again = NetworkDescription.of(build).read(path, choose_device("cpu"))
        layout = fast_memory_format(dims)
        kernels = [weights for weights in again.parameters() if weights.ndim == dims + 2]
        assert all(weights.is_contiguous(memory_format=layout) for weights in kernels)

    def test_a_huge_network_is_described_but_not_built(self, path):
        described = NetworkDescription.of(partial(nn.Linear, 2**20, 2**20))  # 4 TB
        assert described.shapes["weight"] == (2**20, 2**20)
        with pytest.raises(InputError, match=r"weights\.safetensors: its weights do not fit"):
            described.read(path, choose_device("cpu"))

    @pytest.mark.parametrize("size", [(3, 3), (2, 2)])
    def test_weights_of_another_network(self, path, size):
        with pytest.raises(InputError, match="do not fit"):
            NetworkDescription.of(partial(nn.Linear, *size)).read(path, choose_device("cpu"))

    def test_a_weight_less_and_one_more(self, path):
        for other in (partial(nn.Linear, 3, 2, bias=False), partial(nn.Bilinear, 3, 1, 2)):
            with pytest.raises(InputError, match="do not fit"):
                NetworkDescription.of(other).read(path, choose_device("cpu"))

    def test_a_file_that_is_too_large_is_not_read(self, path):
        with path.open("r+b") as stream:
            stream.truncate(2**40)  # on paper
        with pytest.raises(InputError, match="it is larger"):
            NetworkDescription.of(partial(nn.Linear, 3, 2)).read(path, choose_device("cpu"))

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(InputError, match=r"none\.safetensors"):
            NetworkDescription.of(partial(nn.Linear, 3, 2)).read(
                tmp_path / "none.safetensors", choose_device("cpu")
            )
