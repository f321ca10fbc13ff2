"""Tensors in safetensors files, written atomically. Nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write


def save_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors and text to one safetensors file, atomically."""
    plain = {name: value.detach().to("cpu").contiguous() for name, value in tensors.items()}
    atomic_write(path, save(plain, metadata=dict(metadata or {})))


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read tensors and text of a safetensors file.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    try:
        data = Path(path).read_bytes()
        return load(data), _metadata(data)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not a readable model file ({error}); train again or restore it") from error


def load_weights(network: nn.Module, tensors: Mapping[str, torch.Tensor], *, path: Path) -> None:
    """Load weights into a network; InputError, which names the file `path`, if they do not fit."""
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(
            f"{path}: its weights do not fit the network its sidecar describes ({reason})"
        ) from error


def _metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]).get("__metadata__", {})
