"""Data-parallel training by several processes that torchrun starts: one card, or some cores, each.

Every process (rank) draws batches of its own, and all of them do the same step: with the mean of their gradients, and
with the statistics of batch normalisation over the batches of all. So N ranks train like one with batches of N times
the size. Gloo carries the sums between processors, NCCL between NVIDIA cards.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from napari_landmark.data.errors import ErrorCode, InputError

_SEEDS_APART = 1_000_003
_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


@dataclass(frozen=True)
class Ranks:
    """Place of this process among those that train together.

    Parameters
    ----------
    rank : int
        0 for the one that reports, keeps checkpoints and writes the model.
    size : int
        Number of processes; 1 where it trains alone.
    local_rank : int
        Number among those of the same machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process reports and writes."""
        return self.rank == 0

    def device_name(self, name: str) -> str:
        """Name of this process's own device: with `auto` or `cuda` and cards here, the card of its number.

        Raises
        ------
        InputError
            There are fewer cards than processes, or one card is named for all.
        """
        if self.size == 1 or name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
            return "cpu" if self.size > 1 else name
        if name not in ("auto", "cuda"):
            raise InputError(
                f"device {name!r}: processes that train together take a card each; give cuda or cpu"
            )
        if self.local_rank >= torch.cuda.device_count():
            raise InputError(
                f"there are {torch.cuda.device_count()} cards for more processes: start one process a card",
                code=ErrorCode.DEVICE_UNAVAILABLE,
            )
        return f"cuda:{self.local_rank}"

    def generator(self, seed: int) -> torch.Generator:
        """Source of chance of this process; that of the first one is the same as without others."""
        return torch.Generator().manual_seed(seed + self.rank * _SEEDS_APART)

    def agree(self, *values: float) -> tuple[float, ...]:
        """Largest of each value over all processes."""
        if self.size == 1:
            return values
        numbers = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return tuple(numbers.tolist())

    def average_gradients(self, network: nn.Module, loss: torch.Tensor) -> torch.Tensor:
        """Replace the gradients of a network by their means over all processes; returns the mean of the losses.

        A parameter that has no gradient in any process keeps none.
        """
        if self.size == 1:
            return loss
        parameters = list(network.parameters())
        has = torch.tensor([float(p.grad is not None) for p in parameters], device=loss.device)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([loss.detach().float().reshape(1), has, *[g.reshape(-1).float() for g in gradients]])
        dist.all_reduce(flat)
        mean, counts, rest = (
            flat[0] / self.size,
            flat[1 : 1 + len(has)].tolist(),
            flat[1 + len(has) :] / self.size,
        )
        parts = rest.split([p.numel() for p in parameters])
        for parameter, gradient, part, count in zip(parameters, gradients, parts, counts, strict=True):
            parameter.grad = gradient.copy_(part.view_as(gradient)) if count else None
        return mean

    def gathered(self, state: torch.Tensor) -> list[torch.Tensor]:
        """A tensor of each process, in their order; of the same shape everywhere, on the processor."""
        if self.size == 1:
            return [state]
        states = [torch.empty_like(state) for _ in range(self.size)]
        dist.all_gather(states, state)
        return states


ALONE = Ranks()


@contextlib.contextmanager
def ranks_of_torchrun() -> Iterator[Ranks]:
    """Context of a process that torchrun, or another launcher with its variables, started; `ALONE` without them.

    Raises
    ------
    InputError
        The variables are damaged, or the processes do not find each other.
    """
    given = {name: os.environ.get(name, "") for name in _VARIABLES}
    if not given["WORLD_SIZE"] or given["WORLD_SIZE"] == "1":
        yield ALONE
        return
    try:
        rank, size, local_rank = (int(value) for value in given.values())
        cards = torch.cuda.is_available() and dist.is_nccl_available()
        if cards and local_rank < torch.cuda.device_count():
            torch.cuda.set_device(local_rank)
        dist.init_process_group("cpu:gloo,cuda:nccl" if cards else "gloo")
    except (ValueError, RuntimeError) as error:
        raise InputError(f"the processes that torchrun started do not find each other ({error})") from error
    try:
        yield Ranks(rank, size, local_rank)
    finally:
        dist.destroy_process_group()


class _Sum(torch.autograd.Function):
    """Sum of a tensor over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


class _SharedBatchNorm(_BatchNorm):
    """Batch normalisation by the statistics of the batches of all processes.

    As `torch.nn.SyncBatchNorm`, which needs cards.
    """

    def _check_input_dim(self, input: torch.Tensor) -> None:
        pass

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(input)
        values = input.float()
        axes = [axis for axis in range(values.ndim) if axis != 1]
        variance, mean = (part.double() for part in torch.var_mean(values, axes, correction=0))
        count = values.numel() / values.shape[1]
        sums = _Sum.apply(
            torch.cat([count * mean, count * (variance + mean.square()), mean.new_tensor([count])])
        )
        total = sums[-1].detach()
        mean, square = (sums[:-1] / total).chunk(2)
        variance = (square - mean.square()).clamp_min(0)
        if (
            self.running_mean is not None
            and self.running_var is not None
            and self.num_batches_tracked is not None
        ):
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean.float(), momentum)
                self.running_var.lerp_((variance * total / (total - 1).clamp_min(1)).float(), momentum)
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        shift = -mean * scale
        if self.affine:
            shift = shift + self.bias
        shape = [1, -1, *[1] * (values.ndim - 2)]
        normalised = torch.addcmul(shift.float().view(shape), values, scale.float().view(shape))
        return normalised.to(input.dtype)


@contextlib.contextmanager
def shared_normalisation(network: nn.Module, ranks: Ranks) -> Iterator[None]:
    """Context in which batch normalisation takes the batches of all processes for one."""
    changed: list[tuple[_BatchNorm, type[nn.Module]]] = []
    if ranks.size > 1:
        changed = [(module, type(module)) for module in network.modules() if isinstance(module, _BatchNorm)]
    for module, _ in changed:  # parameters and statistics stay where they are
        module.__class__ = _SharedBatchNorm
    try:
        yield
    finally:
        for module, kind in changed:
            module.__class__ = kind  # type: ignore[assignment]
