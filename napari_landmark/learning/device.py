"""Devices: processor or graphics card, and precision."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch

from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.learning.device_trial import can_train
from napari_landmark.learning.threads import computing_threads

_LEAST_CAPABILITY = (8, 0)  # of an NVIDIA card with bfloat16; older ones emulate it, if at all


@dataclass(frozen=True)
class Device:
    """A device with the precision that suits it.

    Parameters
    ----------
    torch_device : torch.device
        Of all tensors.
    autocast_dtype : torch.dtype or None
        Reduced precision for the networks' forward pass; None computes in float32.
    """

    torch_device: torch.device
    autocast_dtype: torch.dtype | None

    def __str__(self) -> str:
        kind = self.torch_device.type
        if kind == "cuda":
            return f"cuda ({torch.cuda.get_device_name(self.torch_device)})"
        if kind == "cpu":
            count = computing_threads()
            return f"cpu ({count} thread{'' if count == 1 else 's'})"
        return kind

    def autocast(self) -> contextlib.AbstractContextManager:
        """Context of the networks' forward pass."""
        if self.autocast_dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.torch_device.type, self.autocast_dtype)

    def to(self, tensor: torch.Tensor) -> torch.Tensor:
        """`tensor` on this device, without waiting where the device allows it."""
        return sent(tensor, self.torch_device)

    def memory(self) -> int:
        """Bytes of a graphics card; 0 for a processor, whose memory is shared with everything else."""
        if self.torch_device.type != "cuda":
            return 0
        return torch.cuda.get_device_properties(self.torch_device).total_memory

    def free_memory(self) -> int:
        """Unused bytes of a graphics card; 0 for a processor."""
        if self.torch_device.type != "cuda":
            return 0
        with torch.cuda.device(self.torch_device):
            # Memory that the allocator holds for later counts as taken, but can be used.
            unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
            return torch.cuda.mem_get_info()[0] + unused

    def synchronize(self) -> None:
        """Wait for queued work, as needed before timing."""
        if self.torch_device.type == "cuda":
            torch.cuda.synchronize(self.torch_device)


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` on a device, without waiting for a graphics card."""
    return tensor.to(device, non_blocking=device.type == "cuda")


def choose_device(name: str = "auto") -> Device:
    """Choose the device of that name, or the fastest one for `auto`.

    `auto` leaves out an Apple graphics chip on which the installed torch lacks operations of a training.

    Parameters
    ----------
    name : {'auto', 'cpu', 'cuda', 'mps'} or 'cuda:N'

    Raises
    ------
    InputError
        The name is unknown, this machine has no such device, or the installed torch cannot train on it.
    """
    kind = name.split(":")[0]
    if kind not in ("auto", "cpu", "cuda", "mps"):
        raise InputError(f"device {name!r} is unknown: choose auto, cpu, cuda or mps")
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if kind == "auto":
        kind = name = next(k for k in has if has[k] and (k != "mps" or can_train(torch.device(k))))
    if not has[kind]:
        raise InputError(f"device {kind!r} is not available here", code=ErrorCode.DEVICE_UNAVAILABLE)
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {name!r} is unknown: choose auto, cpu, cuda or mps") from error
    if kind == "cuda":
        if device.index is not None and device.index >= torch.cuda.device_count():
            raise InputError(f"device {name!r} is not available here: there are {torch.cuda.device_count()}")
        return Device(device, _reduced_precision_of_card(device))
    if kind == "mps":
        if not can_train(device):
            raise InputError(
                f"device 'mps' cannot be used: torch {torch.__version__} lacks operations of a training there",
                code=ErrorCode.DEVICE_UNAVAILABLE,
            )
        return Device(device, None)
    return Device(device, torch.bfloat16 if _bfloat16_is_native() else None)


def _reduced_precision_of_card(device: torch.device) -> torch.dtype | None:
    # float16 would be fast on older cards, but overflows without a scaling of the loss: these compute in float32.
    # torch.cuda.is_bf16_supported() counts emulation.
    return torch.bfloat16 if torch.cuda.get_device_capability(device) >= _LEAST_CAPABILITY else None


def _bfloat16_is_native() -> bool:
    # Without hardware support bfloat16 convolutions are emulated and several times slower than float32.
    checks = (
        getattr(torch.cpu, "_is_avx512_bf16_supported", None),
        getattr(torch.cpu, "_is_amx_tile_supported", None),
    )
    return any(check is not None and check() for check in checks)
