"""Training loop: budget, learning rate, progress, cancel, checkpoint, resume."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from napari_landmark.data.errors import InputError
from napari_landmark.learning.checkpoint import load_tensors, load_weights, save_tensors
from napari_landmark.learning.data_parallel import ALONE, Ranks, shared_normalisation
from napari_landmark.learning.malloc import keep_freed_memory
from napari_landmark.learning.threads import thread_limit
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

CHECKPOINT_SECONDS = 30.0
_REPORT_SECONDS = 0.2
_LARGEST_GRADIENT_NORM = 5.0
_MOST_SKIPPED_STEPS = 20  # in a row; a single overflow is harmless

OVERTIME = 4.0
"""Times the seconds of a budget that a training may take until it has done its least steps."""

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Budget:
    """Limits of a training: number of steps, wall-clock seconds, or both (None = no limit).

    Parameters
    ----------
    steps : int, optional
        Steps after which it ends.
    seconds : float, optional
        Time after which it ends, if it has done `least_steps` by then.
    least_steps : int
        Steps that it does however long they take, up to `most_seconds`: fewer learn too little.
    most_seconds : float, optional
        Time after which it ends in any case; 4 times `seconds` if not given.
    """

    steps: int | None = None
    seconds: float | None = None
    least_steps: int = 0
    most_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.steps is None and self.seconds is None:
            raise ValueError("a training needs a limit: steps, seconds or both")
        if self.most_seconds is None and self.seconds is not None:
            object.__setattr__(self, "most_seconds", OVERTIME * self.seconds)

    def fraction(self, step: int, elapsed: float) -> float:
        """Done part, 0..1, by the nearest limit; it never falls, so a schedule of the learning rate can follow it."""
        timed = (
            0.0 if self.seconds is None else min(_part(elapsed, self.seconds), _part(step, self.least_steps))
        )
        return max(timed, _part(step, self.steps), _part(elapsed, self.most_seconds))

    @property
    def needed_steps(self) -> int:
        """Steps with fewer of which it has learned too little."""
        return self.least_steps if self.steps is None else min(self.least_steps, self.steps)

    def seconds_left(self, step: int, elapsed: float, per_step: float) -> float:
        """Estimate of the remaining time, from the seconds of a step."""
        left = []
        if self.steps is not None:
            left.append((self.steps - step) * per_step)
        if self.seconds is not None and self.most_seconds is not None:
            left.append(max(self.seconds - elapsed, (self.least_steps - step) * per_step))
            left.append(self.most_seconds - elapsed)
        return max(0.0, min(left))


def _part(done: float, limit: float | None) -> float:
    """Done part of a limit, 0..1."""
    if limit is None:
        return 0.0
    return 1.0 if done >= limit else done / limit


@dataclass
class History:
    """Record of a training.

    Parameters
    ----------
    stage : str
    steps : int
    seconds : float
    cancelled : bool
    losses : list of (int, float, float)
        Step, seconds, smoothed loss.
    least_steps : int
        Steps that its budget asked for at least.
    """

    stage: str
    steps: int = 0
    seconds: float = 0.0
    cancelled: bool = False
    losses: list[tuple[int, float, float]] = field(default_factory=list)
    least_steps: int = 0

    @property
    def too_few_steps(self) -> bool:
        """Whether it ended with fewer steps than it needs, by its limit of time and not by a user."""
        return not self.cancelled and self.steps < self.least_steps

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Checkpoint:
    """File with the state of a stage, and whether to resume from it."""

    path: Path
    resume: bool = False
    interval: float = CHECKPOINT_SECONDS


def learning_rate_at(fraction: float, *, warmup: float) -> float:
    """Factor of the peak learning rate: cosine up during `warmup`, cosine down to zero after."""
    if fraction < warmup:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * fraction / warmup)) / 2
    return (1 + math.cos(math.pi * (fraction - warmup) / (1 - warmup))) / 2


class TrainingClock:
    """Done part of a training, set by `run_training` before it takes a batch.

    For batches that change in the course of a training. Worker processes of a DataLoader have copies, which no
    training sets: such batches must be drawn in the process that trains.

    Attributes
    ----------
    fraction : float
        0..1 of the budget.
    """

    def __init__(self) -> None:
        self.fraction = 0.0

    def ticks(self) -> Iterator[float]:
        """Yield the done part for each step without end: batches for a loss that draws its own."""
        while True:
            yield self.fraction


def run_training(
    network: nn.Module,
    loss: Callable[[Batch], torch.Tensor],
    batches: Iterable[Batch],
    *,
    stage: str,
    budget: Budget,
    learning_rate: float,
    generator: torch.Generator,
    warmup: float = 0.08,
    weight_decay: float = 1e-3,
    clock: TrainingClock | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    after_step: Callable[[float], None] | None = None,
    ranks: Ranks = ALONE,
) -> History:
    """Minimise the loss of batches until the budget is spent or the work is cancelled.

    Parameters
    ----------
    network : nn.Module
        Trained in place.
    loss : callable
        Scalar loss of a batch; draws no random numbers.
    batches : iterable
        Generator or DataLoader. One that can be iterated again is, as often as the budget lasts.
    generator : torch.Generator
        Source of chance of the batches, saved with the checkpoints: a resumed training continues as if never
        stopped, where batches are drawn one by one (a DataLoader that prefetches draws ahead).
    clock : TrainingClock, optional
        Shared with `batches` that depend on the done part of the training.
    after_step : callable, optional
        Called between steps with the done part. It may use the network in evaluation mode; its time counts.
    ranks : Ranks, optional
        Processes that train together: each calls this with the same network and budget, and batches of its own. The
        checkpoint is on a disk of all; the first process writes it.

    Returns
    -------
    History
        `cancelled` tells whether it was stopped early; the weights are usable in any case.

    Raises
    ------
    InputError
        The checkpoint to resume from is damaged or belongs to another network; or the loss or its gradient was not
        finite in many steps in a row.
    ValueError
        There are fewer batches than the budget has steps, and they cannot be iterated again.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay)
    history = History(stage)
    if checkpoint and checkpoint.resume and checkpoint.path.exists():
        history = _load(checkpoint.path, network, optimizer, generator, stage, ranks)

    history.least_steps = budget.needed_steps

    def save() -> None:
        if checkpoint:
            _save(checkpoint.path, network, optimizer, generator, history, ranks)

    clock = clock or TrainingClock()
    source = _repeated(batches)
    report = _Reporter(history, budget, progress)
    started = time.monotonic() - history.seconds
    saved = time.monotonic()
    network.train()
    skipped = 0
    with keep_freed_memory(), thread_limit(), shared_normalisation(network, ranks):
        while True:
            fraction, stop, due = ranks.agree(
                budget.fraction(history.steps, history.seconds),
                bool(cancel and cancel.cancelled),
                bool(checkpoint and time.monotonic() - saved > checkpoint.interval),
            )
            if fraction >= 1:
                break
            if stop:
                history.cancelled = True
                break
            if due:
                save()
                saved = time.monotonic()
            factor = learning_rate_at(fraction, warmup=warmup)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * factor
            clock.fraction = fraction
            value, stepped = _step(network, loss, next(source), optimizer, ranks)
            skipped = 0 if stepped else skipped + 1
            if skipped == _MOST_SKIPPED_STEPS:
                raise _diverged(stage)
            history.steps += 1
            now = time.monotonic()
            history.seconds = now - started
            report.record(value)
            report.now_and_then(now)
            if after_step:
                after_step(budget.fraction(history.steps, history.seconds))
                if not network.training:
                    network.train()
    report.finish()
    network.eval()
    save()
    return history


def _step(
    network: nn.Module,
    loss: Callable[[Batch], torch.Tensor],
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    ranks: Ranks,
) -> tuple[torch.Tensor, bool]:
    """One step of the optimizer: the loss without its graph, and whether the weights were changed."""
    optimizer.zero_grad(set_to_none=True)
    value = loss(batch)
    value.backward()
    mean = ranks.average_gradients(network, value)
    length = nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT_NORM, foreach=True)
    finite = bool(torch.isfinite(length))
    if finite:  # one overflow must not ruin the weights for good
        optimizer.step()
    return mean.detach(), finite


def _diverged(stage: str) -> InputError:
    return InputError(
        f"{stage}: stopped, since the loss or its gradient was not a finite number in {_MOST_SKIPPED_STEPS} steps in a "
        "row; look for unusual images in the cohort, or train on another device"
    )


def _repeated(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Batches without end, iterated anew when they are exhausted."""
    while True:
        empty = True
        for batch in batches:
            empty = False
            yield batch
        if empty:
            raise ValueError("the batches ended before the budget of the training was spent")


class _Reporter:
    """Smoothed losses of a training, and its progress events."""

    def __init__(self, history: History, budget: Budget, progress: Progress | None) -> None:
        self._history, self._budget, self._progress = history, budget, progress
        self._first_step, self._first_seconds = history.steps, history.seconds
        self._smoothed = history.losses[-1][2] if history.losses else None
        self._reported = time.monotonic()

    def record(self, loss: torch.Tensor) -> None:
        """Note the loss of every tenth step, and of the first."""
        history = self._history
        if history.steps % 10 and history.steps != 1:
            return  # reading a value makes a graphics card wait
        value = float(loss)
        if math.isfinite(value):
            self._smoothed = value if self._smoothed is None else 0.7 * self._smoothed + 0.3 * value
            history.losses.append((history.steps, round(history.seconds, 2), round(self._smoothed, 5)))

    def now_and_then(self, now: float) -> None:
        """Report progress if the last report is long enough ago."""
        if self._progress and now - self._reported > _REPORT_SECONDS:
            self._reported = now
            history = self._history
            done = self._budget.fraction(history.steps, history.seconds)
            per_step = (history.seconds - self._first_seconds) / max(1, history.steps - self._first_step)
            left = self._budget.seconds_left(history.steps, history.seconds, per_step)
            limit = self._budget.seconds
            late = limit is not None and history.seconds > limit
            self._progress(
                ProgressEvent(history.stage, done, left, self._smoothed, history.steps, overtime=late)
            )

    def finish(self) -> None:
        """Report the end of a training that was not cancelled."""
        if self._progress and not self._history.cancelled:
            self._progress(ProgressEvent(self._history.stage, 1.0, 0.0, self._smoothed, self._history.steps))


def _save(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    history: History,
    ranks: Ranks,
) -> None:
    first, *others = ranks.gathered(generator.get_state())
    if ranks.is_first:
        _write(path, network, optimizer, first, others, history)
    ranks.agree(0.0)  # no process reads the file before it is there


def _write(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    first: torch.Tensor,
    others: list[torch.Tensor],
    history: History,
) -> None:
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{key}": value for key, value in state.items()})
    tensors["generator"] = first
    tensors.update({f"generator.{rank}": state for rank, state in enumerate(others, 1)})
    save_tensors(path, tensors, metadata={"history": json.dumps(history.to_json())})


def _load(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    stage: str,
    ranks: Ranks,
) -> History:
    tensors, metadata = load_tensors(path)
    processes = 1 + len(_under(tensors, "generator."))
    if processes != ranks.size:
        raise InputError(
            f"{path}: is of a training by {processes} processes; go on with as many, or train anew"
        )
    load_weights(network, _under(tensors, "network."), path=path)
    try:
        states: dict[int, dict[str, torch.Tensor]] = {}
        parameters = list(network.parameters())
        for name, value in _under(tensors, "optimizer.").items():
            index, key = name.split(".", 1)
            states.setdefault(int(index), {})[key] = _laid_out(value, parameters[int(index)])
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
        generator.set_state(tensors[f"generator.{ranks.rank}" if ranks.rank else "generator"])
        history = History(**json.loads(metadata["history"]))
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: is not a checkpoint of a training ({error}); train anew") from error
    history.stage, history.cancelled = stage, False
    history.losses = [(step, seconds, loss) for step, seconds, loss in history.losses]
    return history


def _laid_out(value: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """`value` in the memory format of `parameter`, as it was before the interruption."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, requires_grad=False).copy_(value)


def _under(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
