"""The training loop: budget, schedule, progress, cancel, checkpoint, resume."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

from napari_landmark.data.errors import InputError
from napari_landmark.learning.checkpoint import load_tensors, load_weights, save_tensors
from napari_landmark.learning.malloc import keep_freed_memory
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

CHECKPOINT_SECONDS = 30.0
_LONGEST_GRADIENT = 5.0


@dataclass(frozen=True)
class Budget:
    """How long a training lasts: so many steps, and no longer than so many seconds (None = no limit)."""

    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.steps is None and self.seconds is None:
            raise ValueError("a training needs a limit: steps, seconds or both")

    def fraction(self, step: int, elapsed: float) -> float:
        """Done part, 0..1: whichever limit is nearer."""
        return max(_part(step, self.steps), _part(elapsed, self.seconds))


def _part(done: float, limit: float | None) -> float:
    if limit is None:
        return 0.0
    return 1.0 if done >= limit else done / limit


@dataclass
class History:
    """What happened during a training; `losses` holds (step, seconds, loss) of smoothed values."""

    stage: str
    steps: int = 0
    seconds: float = 0.0
    cancelled: bool = False
    losses: list[tuple[int, float, float]] = field(default_factory=list)

    def to_json(self) -> dict:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Checkpoint:
    """Where a stage keeps its state, and whether to go on from what is there."""

    path: Path
    resume: bool = False
    interval: float = CHECKPOINT_SECONDS


def learning_rate_at(fraction: float, *, warmup: float) -> float:
    """Factor of the peak learning rate: cosine up during `warmup`, cosine down to zero after."""
    if fraction < warmup:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * fraction / warmup)) / 2
    return (1 + math.cos(math.pi * (fraction - warmup) / (1 - warmup))) / 2


def run_training(
    network: nn.Module,
    step: Callable[[float], torch.Tensor],
    *,
    stage: str,
    budget: Budget,
    learning_rate: float,
    generator: torch.Generator,
    warmup: float = 0.08,
    weight_decay: float = 1e-3,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> History:
    """Minimise what `step` returns until the budget is spent or the work is cancelled.

    Parameters
    ----------
    network : nn.Module
        Trained in place.
    step : callable
        Given the done fraction, draws a batch with `generator` and returns the loss.
    generator : torch.Generator
        The only source of chance, saved with the checkpoints: a resumed training goes on as if never stopped.

    Returns
    -------
    History
        `cancelled` tells whether it was stopped early; the weights are usable in any case.

    Raises
    ------
    InputError
        The checkpoint to go on from is damaged or belongs to another network.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay)
    history = History(stage)
    if checkpoint and checkpoint.resume and checkpoint.path.exists():
        history = _load(checkpoint.path, network, optimizer, generator, stage)
    with keep_freed_memory():
        _loop(
            network,
            step,
            optimizer,
            history,
            budget,
            learning_rate,
            warmup,
            generator,
            checkpoint,
            progress,
            cancel,
        )
    network.eval()
    if checkpoint:
        _save(checkpoint.path, network, optimizer, generator, history)
    return history


def _loop(
    network: nn.Module,
    step: Callable[[float], torch.Tensor],
    optimizer: torch.optim.Optimizer,
    history: History,
    budget: Budget,
    learning_rate: float,
    warmup: float,
    generator: torch.Generator,
    checkpoint: Checkpoint | None,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> None:
    started = time.monotonic() - history.seconds
    saved = reported = time.monotonic()
    smoothed = history.losses[-1][2] if history.losses else None
    first_step, first_seconds = history.steps, history.seconds
    network.train()
    while (fraction := budget.fraction(history.steps, history.seconds)) < 1:
        if cancel and cancel.cancelled:
            history.cancelled = True
            break
        factor = learning_rate_at(fraction, warmup=warmup)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * factor
        optimizer.zero_grad(set_to_none=True)
        loss = step(fraction)
        loss.backward()
        length = nn.utils.clip_grad_norm_(network.parameters(), _LONGEST_GRADIENT, foreach=True)
        if torch.isfinite(length):  # one overflow must not ruin the weights for good
            optimizer.step()
        history.steps += 1
        now = time.monotonic()
        history.seconds = now - started
        if history.steps % 10 == 0 or history.steps == 1:
            value = float(loss.detach())
            if math.isfinite(value):
                smoothed = value if smoothed is None else 0.7 * smoothed + 0.3 * value
                history.losses.append((history.steps, round(history.seconds, 2), round(smoothed, 5)))
        if progress and now - reported > 0.2:
            reported = now
            done = budget.fraction(history.steps, history.seconds)
            left = _seconds_left(budget, history, first_step, first_seconds)
            progress(ProgressEvent(history.stage, done, left, smoothed, history.steps))
        if checkpoint and now - saved > checkpoint.interval:
            _save(checkpoint.path, network, optimizer, generator, history)
            saved = time.monotonic()
    if progress and not history.cancelled:
        progress(ProgressEvent(history.stage, 1.0, 0.0, smoothed, history.steps))


def _seconds_left(budget: Budget, history: History, first_step: int, first_seconds: float) -> float | None:
    left = []
    if budget.steps is not None:
        per_step = (history.seconds - first_seconds) / max(1, history.steps - first_step)
        left.append((budget.steps - history.steps) * per_step)
    if budget.seconds is not None:
        left.append(budget.seconds - history.seconds)
    return max(0.0, min(left)) if left else None


def _save(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    history: History,
) -> None:
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{key}": value for key, value in state.items()})
    tensors["generator"] = generator.get_state()
    save_tensors(path, tensors, metadata={"history": json.dumps(history.to_json())})


def _load(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, generator: torch.Generator, stage: str
) -> History:
    tensors, metadata = load_tensors(path)
    load_weights(network, _under(tensors, "network."), path=path)
    try:
        states: dict[int, dict[str, torch.Tensor]] = {}
        parameters = list(network.parameters())
        for name, value in _under(tensors, "optimizer.").items():
            index, key = name.split(".", 1)
            states.setdefault(int(index), {})[key] = _laid_out(value, parameters[int(index)])
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
        generator.set_state(tensors["generator"])
        history = History(**json.loads(metadata["history"]))
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: is not a checkpoint of a training ({error}); train anew") from error
    history.stage, history.cancelled = stage, False
    history.losses = [tuple(entry) for entry in history.losses]
    return history


def _laid_out(value: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """`value` with its numbers in memory like those of `parameter`, as they were before the interruption."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, requires_grad=False).copy_(value)


def _under(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
