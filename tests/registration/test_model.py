"""A registration model is the same after it was saved; a folder that cannot be one is refused in one line."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest
import torch

from napari_landmark.data.errors import InputError
from napari_landmark.learning.checkpoint import load_tensors, save_tensors
from napari_landmark.learning.device import choose_device
from napari_landmark.registration.model import RegistrationModel
from napari_landmark.registration.networks.registration_network import NetworkConfig, RegistrationNetwork
from napari_landmark.registration.networks.segmenter import Segmenter, SegmenterConfig

CHANNELS = (4, 4, 4, 4, 4)
CPU = choose_device("cpu")


def untrained(labels=(1, 3)):
    torch.manual_seed(0)
    segmenter = Segmenter(SegmenterConfig(2, len(labels), CHANNELS)) if labels else None
    network = RegistrationNetwork(NetworkConfig(2, len(labels), channels=CHANNELS))
    return RegistrationModel((64, 64), labels, segmenter, network, device=CPU, record={"steps": 3})


@pytest.fixture
def folder(tmp_path):
    untrained().save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("labels", [(), (1, 3)])
def test_there_and_back(tmp_path, drawn, labels):
    model = untrained(labels)
    model.save(tmp_path)
    again = RegistrationModel.load(tmp_path, device=CPU)
    assert (again.canvas, again.labels, again.record) == (model.canvas, model.labels, model.record)
    assert (again.segmenter is None) == (not labels)
    images = [drawn.image(drawn.texture((64, 64), seed)) for seed in range(2)]
    points = np.array([[20.0, 30.0], [40.0, 10.0]])
    np.testing.assert_array_equal(
        again.register(*images).transform.to_moving(points),
        model.register(*images).transform.to_moving(points),
    )


def changed(part, **values):
    def change(sidecar):
        return {**sidecar, part: {**sidecar[part], **values}}

    return change


@pytest.mark.skipif(sys.platform == "win32", reason="how much memory was taken")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {**s, "format": "napari-landmark model"}, "is not a registration model"),
        (lambda s: {**s, "version": 1}, "another version"),
        (lambda s: {k: v for k, v in s.items() if k != "labels"}, "'labels' is missing"),
        (lambda s: {**s, "canvas": [10**7, 10**7]}, "not a complete model description"),
        (lambda s: {**s, "canvas": [64, 96]}, "not a complete model description"),
        (lambda s: {**s, "canvas": [64, 64, 64]}, "not a complete model description"),
        (lambda s: {**s, "canvas": [1e999, 64]}, "not a complete model description"),
        (lambda s: {**s, "labels": [1]}, "1 labels"),
        (lambda s: {**s, "labels": [1, 1]}, "there twice"),
        (lambda s: {**s, "labels": [1, "3"]}, "not a complete model description"),
        (lambda s: {**s, "labels": None}, "not a complete model description"),
        (lambda s: {**s, "network": [2]}, "not a complete model description"),
        (lambda s: {**s, "segmenter": None}, "not a complete model description"),
        (lambda s: {**s, "segmenter": 7}, "not a complete model description"),
        (lambda s: {**s, "training": {"options": {"weights": {"dice": -1}}}}, "the weight dice"),
        (changed("network", regions=10**12), "not a complete model description"),
        (changed("network", regions=2**20), "not a complete model description"),
        (changed("network", channels=[2**20] * 5), "do not fit"),
        (changed("network", channels=[4, 4]), "not a complete model description"),
        (changed("network", spatial_dims=3), "not a complete model description"),
        (changed("network", spatial_dims=7), "not a complete model description"),
        (changed("network", diffeomorphic="yes"), "not a complete model description"),
        (changed("network", magic=1), "an unknown setting 'magic'"),
        (changed("segmenter", channels=[4, 4, 4, 4, 2**30]), "do not fit|not a complete model description"),
    ],
)
def test_sidecars_that_cannot_be_take_no_memory(folder, change, message):
    import resource

    path = folder / "model.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=message) as caught:
        RegistrationModel.load(folder, device=CPU)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (
        1 if sys.platform == "darwin" else 1024
    )
    assert taken < 100e6


@pytest.mark.parametrize("text", ["[" * 100_000, '{"network":' * 50_000, "{", "[]"])
def test_texts_that_are_no_sidecar(folder, text):
    (folder / "model.json").write_text(text)
    with pytest.raises(
        InputError, match=r"model\.json: (cannot be read as JSON|is not a registration model)"
    ):
        RegistrationModel.load(folder, device=CPU)


def test_a_sidecar_of_a_gigabyte_is_not_read(folder):
    os.truncate(folder / "model.json", 1024**3)
    with pytest.raises(InputError, match="larger than 64 MB"):
        RegistrationModel.load(folder, device=CPU)


@pytest.mark.parametrize("name", ["registration", "segmenter"])
@pytest.mark.parametrize("damage", ["missing", "cut", "other", "large", "shape"])
def test_damaged_weights_are_named(folder, name, damage):
    path = folder / f"{name}.safetensors"
    other = folder / f"{'segmenter' if name == 'registration' else 'registration'}.safetensors"
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:500])
    elif damage == "other":
        path.write_bytes(other.read_bytes())
    elif damage == "large":
        os.truncate(path, 1024**4)
    else:
        tensors = load_tensors(path)[0]
        save_tensors(path, {key: value.flatten()[:1] for key, value in tensors.items()})
    with pytest.raises(InputError, match=rf"{name}\.safetensors"):
        RegistrationModel.load(folder, device=CPU)


def test_an_interrupted_save_leaves_no_mixture(folder, monkeypatch):
    model = untrained()

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(model.network, "state_dict", stop)
    with pytest.raises(KeyboardInterrupt):
        model.save(folder)
    with pytest.raises(InputError, match="holds no registration model"):
        RegistrationModel.load(folder, device=CPU)
