"""Processes that train together: like one with batches of all."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from napari_landmark.data.errors import InputError
from napari_landmark.learning.data_parallel import ALONE, Ranks, ranks_of_torchrun, shared_normalisation
from napari_landmark.learning.loop import Budget, Checkpoint, History, TrainingClock, run_training
from napari_landmark.progress import CancelToken

STEPS, BATCH = 12, 16


class Task:
    """A network with batch normalisation that learns a line from points; each process has a part of every batch."""

    def __init__(self, ranks: Ranks) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(
            nn.Linear(2, 8, bias=False), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1)
        )
        self.ranks, self.clock = ranks, TrainingClock()
        self.unused = nn.Linear(3, 3)
        self.generator = torch.Generator().manual_seed(5)

    def batches(self):
        part = BATCH // self.ranks.size
        for _ in self.clock.ticks():
            # Larger numbers in the second half: each half alone has other statistics.
            points = torch.rand(BATCH, 2, generator=self.generator) + torch.arange(BATCH)[:, None] / BATCH
            yield points[self.ranks.rank * part :][:part]

    def loss(self, points: torch.Tensor) -> torch.Tensor:
        return (self.network(points)[:, 0] - points.sum(1)).square().mean()

    def run(self, **options) -> History:
        known = {
            "stage": "test",
            "budget": Budget(STEPS),
            "learning_rate": 0.02,
            "generator": self.generator,
            "ranks": self.ranks,
        }
        return run_training(
            nn.ModuleList([self.network, self.unused]),
            self.loss,
            self.batches(),
            clock=self.clock,
            **{**known, **options},
        )


def train(ranks: Ranks, folder: Path) -> dict:
    task = Task(ranks)
    history = task.run()
    return told(task, history)


def told(task: Task, history: History) -> dict:
    state = {name: value.double().flatten().tolist() for name, value in task.network.state_dict().items()}
    unused = {f"unused.{name}": value.flatten().tolist() for name, value in task.unused.state_dict().items()}
    kinds = [type(module).__name__ for module in task.network]
    losses = [loss for _, _, loss in history.losses]
    return {
        "state": state,
        "unused": unused,
        "losses": losses,
        "steps": history.steps,
        "cancelled": history.cancelled,
        "kinds": kinds,
    }


def train_in_two_parts(ranks: Ranks, folder: Path) -> dict:
    cancel = CancelToken()
    first = Task(ranks)
    checkpoint = Checkpoint(folder / "checkpoint.safetensors", resume=True)

    def stop(fraction: float) -> None:
        if ranks.rank == ranks.size - 1 and fraction >= 0.5:
            cancel.cancel()  # in one of the processes

    assert first.run(checkpoint=checkpoint, cancel=cancel, after_step=stop).cancelled
    task = Task(ranks)
    history = task.run(checkpoint=checkpoint)
    return told(task, history)


def stop_in_one(ranks: Ranks, folder: Path) -> dict:
    cancel = CancelToken()
    task = Task(ranks)
    return told(
        task,
        task.run(
            cancel=cancel,
            after_step=lambda fraction: cancel.cancel() if ranks.rank and fraction >= 0.5 else None,
        ),
    )


def draw_numbers(ranks: Ranks, folder: Path) -> dict:
    return {"numbers": torch.rand(3, generator=ranks.generator(7)).tolist()}


def normalise_volumes(ranks: Ranks, folder: Path) -> dict:
    norm = nn.BatchNorm3d(2)
    images = torch.rand(2, 2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    images[1] += 3
    part = images[ranks.rank : ranks.rank + 1].requires_grad_() if ranks.size > 1 else images.requires_grad_()
    with shared_normalisation(norm, ranks):
        out = norm(part)
        (out**3).mean().backward()
    mean = ranks.average_gradients(norm, (out**3).mean().detach())
    return {
        "out": out.flatten().tolist(),
        "input": (part.grad / ranks.size).flatten().tolist(),
        "weight": norm.weight.grad.tolist(),
        "mean": float(mean),
        "running": [*norm.running_mean.tolist(), *norm.running_var.tolist()],
    }


TOGETHER = (train, train_in_two_parts, stop_in_one, draw_numbers, normalise_volumes)


def start(folder: Path, *words: str) -> list[subprocess.Popen[bytes]]:
    """Two processes with the variables that torchrun gives them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    same = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    return [
        subprocess.Popen(
            [sys.executable, __file__, str(folder), *words],
            env={**same, "OMP_NUM_THREADS": "1", "RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=Path(__file__).parents[2],
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> tuple[Path, dict, dict]:
    """A folder, and what each of two processes found by each function."""
    folder = tmp_path_factory.mktemp("together")
    for process in start(folder):
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors.decode()
    return folder, *(json.loads((folder / f"{rank}.json").read_text()) for rank in range(2))


@pytest.fixture
def folder(results) -> Path:
    return results[0]


@pytest.fixture
def found(results):
    """Results of a function in both processes."""
    return lambda function: (results[1][function.__name__], results[2][function.__name__])


def test_two_processes_train_like_one_with_twice_the_batch(found, tmp_path):
    first, second = found(train)
    alone = train(ALONE, tmp_path)
    assert first == second
    assert first["losses"] == pytest.approx(alone["losses"], rel=1e-4)
    assert first["steps"] == alone["steps"] == STEPS
    for name, values in alone["state"].items():
        assert first["state"][name] == pytest.approx(values, abs=1e-4), name
    assert first["unused"] == alone["unused"]  # without a gradient it does not decay, either
    assert first["kinds"] == ["Linear", "BatchNorm1d", "Tanh", "Linear"]


def test_each_process_draws_for_itself_and_the_first_as_if_alone(found, tmp_path):
    first, second = found(draw_numbers)
    assert first == draw_numbers(ALONE, tmp_path)
    assert first["numbers"] != second["numbers"]


def test_volumes_one_by_one_are_normalised_together(found, tmp_path):
    first, second = found(normalise_volumes)
    alone = normalise_volumes(ALONE, tmp_path)
    for key in ("out", "input"):
        assert [*first[key], *second[key]] == pytest.approx(alone[key], abs=1e-5)
    for key in ("weight", "mean", "running"):
        assert first[key] == second[key] == pytest.approx(alone[key], abs=1e-5)


def test_a_stop_in_one_process_stops_all(found):
    first, second = found(stop_in_one)
    assert first["cancelled"] and second["cancelled"]
    assert first["steps"] == second["steps"] == STEPS // 2
    assert first["state"] == second["state"]


def test_stopped_and_resumed_like_never_stopped(found):
    first, second = found(train_in_two_parts)
    assert first["state"] == second["state"]
    assert first["state"] == found(train)[0]["state"]


def test_a_checkpoint_of_two_processes_is_not_for_one(folder):
    path = folder / "checkpoint.safetensors"
    with pytest.raises(InputError, match=r"checkpoint\.safetensors: is of a training by 2 processes"):
        Task(ALONE).run(checkpoint=Checkpoint(path, resume=True))


def test_a_process_that_dies_ends_the_others(tmp_path):
    first, second = start(tmp_path, "dies")
    first.communicate(timeout=120)
    second.communicate(timeout=120)
    assert second.returncode == 9
    assert first.returncode != 0
    assert not (tmp_path / "0.json").exists()


class TestDevices:
    def test_alone_any_name_stays(self):
        assert [ALONE.device_name(name) for name in ("auto", "cpu", "cuda:1")] == ["auto", "cpu", "cuda:1"]

    def test_processors(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert [Ranks(1, 2, 1).device_name(name) for name in ("auto", "cpu")] == ["cpu", "cpu"]

    def test_each_takes_a_card(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        assert [Ranks(n, 4, n % 2).device_name("auto") for n in range(4)] == ["cuda:0", "cuda:1"] * 2
        with pytest.raises(InputError, match="one process a card"):
            Ranks(2, 3, 2).device_name("cuda")
        with pytest.raises(InputError, match="take a card each"):
            Ranks(1, 2, 1).device_name("cuda:0")


def test_without_a_launcher_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with ranks_of_torchrun() as ranks:
        assert ranks is ALONE
    monkeypatch.setenv("WORLD_SIZE", "1")
    with ranks_of_torchrun() as ranks:
        assert ranks is ALONE


@pytest.mark.parametrize(("rank", "size"), [("", "2"), ("0", "two"), ("x", "2")])
def test_damaged_variables_are_told(monkeypatch, rank, size):
    for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", size)):
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="do not find each other"), ranks_of_torchrun():
        pass


def main(folder: Path, *words: str) -> None:
    with ranks_of_torchrun() as here:
        if words and here.rank:
            os._exit(9)
        result = {function.__name__: function(here, folder) for function in TOGETHER}
    (folder / f"{here.rank}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
