"""Damaged or foreign model folders are refused in one line that names the file."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_landmark.data.errors import InputError
from napari_landmark.data.landmarks import LandmarkSchema
from napari_landmark.detection.model.store import load_model

from ...bad_files import huge


def corrupt_json(key: str, value: object) -> Callable[[Path], None]:
    def corrupt(folder: Path) -> None:
        path = folder / "model.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))

    return corrupt


def corrupt_tensors(name: str, change: Callable[[dict[str, torch.Tensor]], dict]) -> Callable[[Path], None]:
    def corrupt(folder: Path) -> None:
        path = folder / f"{name}.safetensors"
        tensors = change(load_file(path))
        path.unlink()
        save_file(tensors, path)

    return corrupt


def corrupt_nested(part: str, key: str, value: object) -> Callable[[Path], None]:
    def corrupt(folder: Path) -> None:
        path = folder / "model.json"
        content = json.loads(path.read_text())
        content[part][key] = value
        path.write_text(json.dumps(content))

    return corrupt


MODELS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "no weights": ("embedding.safetensors", lambda f: (f / "embedding.safetensors").unlink()),
    "no templates": ("templates.safetensors", lambda f: (f / "templates.safetensors").unlink()),
    "cut weights": ("detector.safetensors", lambda f: os.truncate(f / "detector.safetensors", 1000)),
    "a pickle": (
        "detector.safetensors",
        lambda f: (f / "detector.safetensors").write_bytes(b"\x80\4cos\nsystem\n."),
    ),
    "a huge header": (
        "detector.safetensors",
        lambda f: (f / "detector.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}"),
    ),
    "weights of another": (
        "detector.safetensors",
        lambda f: (f / "detector.safetensors").write_bytes((f / "embedding.safetensors").read_bytes()),
    ),
    "wrong shapes": (
        "embedding.safetensors",
        corrupt_tensors("embedding", lambda t: {name: v.flatten()[:1].clone() for name, v in t.items()}),
    ),
    "a weight less": (
        "embedding.safetensors",
        corrupt_tensors("embedding", lambda t: dict(list(t.items())[1:])),
    ),
    "templates of other landmarks": (
        "templates.safetensors",
        corrupt_tensors("templates", lambda t: {**t, "positions": t["positions"][:, :3].clone()}),
    ),
    "channels without number": (
        "embedding.safetensors",
        corrupt_nested("embedding", "channels", [10**6] * 5),
    ),
    "a downsampling factor of 0": ("model.json", corrupt_nested("embedding", "downsampling", 0)),
    "of other axes": ("model.json", corrupt_nested("embedding", "spatial_dims", 3)),
    "an unknown setting": ("model.json", corrupt_nested("detector", "magic", 1)),
    "another schema": (
        "model.json",
        corrupt_json("schema", LandmarkSchema(("a", "b")).to_json()),
    ),
    "no schema": ("model.json", corrupt_json("schema", None)),
    "a working grid of text": ("model.json", corrupt_json("canvas", "large")),
    "a huge working grid": ("model.json", corrupt_json("canvas", [10**7, 10**7])),
    "another program's": ("model.json", corrupt_json("format", "other")),
    "a newer version": ("model.json", corrupt_json("version", 99)),
    "no sidecar": ("001", lambda f: (f / "model.json").unlink()),
    "a sidecar of a gigabyte": ("model.json", lambda f: huge(f / "model.json", b"{")),
    "brackets without end": ("model.json", lambda f: (f / "model.json").write_text("[" * 100_000)),
}


@pytest.mark.parametrize("name", MODELS)
def test_is_refused_in_one_line(study, name):
    file, corrupt = MODELS[name]
    corrupt(study.models_dir / "001")
    with pytest.raises(InputError) as caught:
        load_model(study, name="001", device="cpu")
    assert file in str(caught.value) or "no model" in str(caught.value)
    assert "\n" not in str(caught.value)
