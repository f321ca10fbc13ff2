"""Model folders: a JSON sidecar that describes networks, and their weights as safetensors beside it.

A folder may come from anywhere. Nothing in it is executed, and what the sidecar describes is compared with the weight
files before memory is taken for it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

import torch
from torch import nn

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.small_file import read_small_text
from napari_landmark.learning.checkpoint import load_tensors, load_weights
from napari_landmark.learning.device import Device
from napari_landmark.learning.unet import place_network

SIDECAR = "model.json"

_LARGEST_SIDE = 16_384
_LARGEST_NUMBER = 2**31
_HEADER_BYTES = 2**20  # of a safetensors file; that of the largest network here takes a tenth
_VALUE_BYTES = 8

Config = TypeVar("Config")
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class ModelFormat:
    """A kind of model folder.

    Parameters
    ----------
    name : str
        Value of the sidecar's entry `format`.
    title : str
        Its name in messages.
    version : int
        Written today.
    readable : tuple of int
        Versions that can be read, `version` among them.
    """

    name: str
    title: str
    version: int
    readable: tuple[int, ...]

    def invalidate(self, folder: Path) -> None:
        """Make the folder and remove its sidecar: while the weights are replaced there is no complete model."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SIDECAR).unlink(missing_ok=True)

    def write(self, folder: Path, content: Mapping[str, Any]) -> None:
        """Write the sidecar, which makes the model complete: to be called after the weights are written."""
        sidecar = {"format": self.name, "version": self.version, **content}
        atomic_write(folder / SIDECAR, json.dumps(sidecar, indent=1) + "\n")

    def read(self, folder: Path) -> dict[str, Any]:
        """Read the sidecar.

        Raises
        ------
        InputError
            It is missing, damaged, of another kind, or of a version that cannot be read.
        """
        path = folder / SIDECAR
        try:
            sidecar = json.loads(read_small_text(path))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(
                f"{folder}: holds no {self.title} ({SIDECAR} is missing): train first"
            ) from error
        except InputError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(
                f"{path}: cannot be read as JSON ({error}): train again or restore it"
            ) from error
        if not isinstance(sidecar, dict) or sidecar.get("format") != self.name:
            raise InputError(f"{path}: is not a {self.title}: choose the folder that its training wrote")
        version = sidecar.get("version")
        if isinstance(version, bool) or version not in self.readable:
            raise self.version_error(folder)
        return sidecar

    def version_error(self, folder: Path) -> InputError:
        """Error of a model whose version cannot be read."""
        return InputError(
            f"{folder / SIDECAR}: was written by another version of napari-landmark; update, or train again"
        )


def stated_format(folder: Path) -> str:
    """Entry `format` of the sidecar in a folder; empty where there is none, or it cannot be read."""
    try:
        sidecar = json.loads(read_small_text(folder / SIDECAR))
    except (InputError, OSError, ValueError, RecursionError):
        return ""
    return str(sidecar.get("format", "")) if isinstance(sidecar, dict) else ""


@contextmanager
def sidecar_errors(folder: Path) -> Iterator[None]:
    """Turn everything that goes wrong with the values of a sidecar into an InputError that names it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{folder / SIDECAR}: is not a complete model description ({reason}): train again or restore it"
        ) from error


def parse_config(kind: type[Config], values: object) -> Config:
    """Build a configuration, a dataclass of int, float, bool and tuple[int, ...], from the object of a sidecar.

    Raises
    ------
    TypeError, ValueError
        No object, an unknown entry, or a value of another type; numbers must be finite and not negative.
    """
    if not isinstance(values, dict):
        raise TypeError(f"{values!r:.40} is no object")
    types = get_type_hints(kind)
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    for name in values.keys() - known:
        raise TypeError(f"an unknown setting {name!r:.40}")
    return kind(**{name: _checked(name, value, types[name]) for name, value in values.items()})


def _checked(name: str, value: object, kind: object) -> object:
    if kind is bool:
        valid = isinstance(value, bool)
    elif kind is int:
        valid = _is_whole(value)
    elif kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        valid = number and math.isfinite(value) and 0 <= value < _LARGEST_NUMBER  # type: ignore[arg-type, operator]
    else:
        valid = isinstance(value, list) and all(map(_is_whole, value))
        value = tuple(value) if valid else value  # type: ignore[arg-type]
    if not valid:
        raise ValueError(f"{name} {value!r:.40}")
    return value


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST_NUMBER


def parse_canvas(values: object, *, multiple: int = 1) -> tuple[int, ...]:
    """Shape of the working grid as a sidecar gives it: two or three sides, each a multiple of `multiple` pixels.

    Raises
    ------
    TypeError, ValueError
        Anything else, or sides that no training has.
    """
    if not isinstance(values, list):
        raise TypeError(f"a canvas {values!r:.40}")
    usable = all(_is_whole(side) and 0 < side <= _LARGEST_SIDE for side in values)
    if len(values) not in (2, 3) or not usable:
        raise ValueError(f"a canvas {values!r:.40}")
    check_divisible(tuple(values), multiple)
    return tuple(values)


def check_divisible(canvas: tuple[int, ...], multiple: int) -> None:
    """Refuse a working grid whose sides are not multiples of a number of pixels (ValueError)."""
    if multiple < 1 or any(side % multiple for side in canvas):
        raise ValueError(f"a canvas {list(canvas)} for networks that need multiples of {multiple} pixels")


@dataclass(frozen=True)
class NetworkDescription(Generic[Network]):
    """A network that is not built yet, with the shapes of its weights.

    Parameters
    ----------
    build : callable
        Makes the network with random weights.
    shapes : mapping of str to torch.Size
        Of the weights, by name.
    """

    build: Callable[[], Network]
    shapes: Mapping[str, torch.Size]

    @classmethod
    def of(cls, build: Callable[[], Network]) -> NetworkDescription[Network]:
        """Describe the network that `build` makes; takes no memory for its weights."""
        with torch.device("meta"):
            return cls(build, {name: value.shape for name, value in build().state_dict().items()})

    def read(self, path: Path, device: Device) -> Network:
        """Build the network with the weights of a safetensors file, on a device, in evaluation mode.

        Raises
        ------
        InputError
            The file is missing, damaged, or of another network. Nothing is built then: a wrong number in a sidecar
            would otherwise ask for any amount of memory.
        """
        expected = sum(math.prod(shape) for shape in self.shapes.values()) * _VALUE_BYTES + _HEADER_BYTES
        if path.is_file() and path.stat().st_size > expected:
            raise self._misfit(path, "it is larger")
        tensors, _ = load_tensors(path)
        for name in sorted(self.shapes.keys() | tensors.keys()):
            if self.shapes.get(name) != (tensors[name].shape if name in tensors else None):
                raise self._misfit(path, name)
        network = self.build()
        load_weights(network, tensors, path=path)
        place_network(network, device.torch_device)
        return network.eval()

    def _misfit(self, path: Path, reason: str) -> InputError:
        return InputError(
            f"{path}: its weights do not fit the network its sidecar describes ({reason:.80}): "
            "train again or restore both files"
        )
