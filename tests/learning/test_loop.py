"""The training loop: its budget, its end, and going on after a stop."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from napari_landmark.data.errors import InputError
from napari_landmark.learning import loop as run_module
from napari_landmark.learning.checkpoint import load_tensors, save_tensors
from napari_landmark.learning.loop import (
    Budget,
    Checkpoint,
    TrainingClock,
    learning_rate_at,
    run_training,
)
from napari_landmark.learning.sampler import SeededBatchSampler
from napari_landmark.progress import CancelToken

STEPS = 24


class Task:
    """A small network with batch normalisation that learns a line from random points."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1))
        self.generator = torch.Generator().manual_seed(seed)
        self.fractions: list[float] = []
        self.clock = TrainingClock()

    def batches(self):
        for fraction in self.clock.ticks():
            self.fractions.append(fraction)
            yield torch.rand(16, 2, generator=self.generator)

    def loss(self, points: torch.Tensor) -> torch.Tensor:
        return (self.network(points)[:, 0] - points.sum(1)).square().mean()

    def run(self, budget=None, **options):
        budget = budget or Budget(STEPS)
        options = {"stage": "test", "learning_rate": 0.02, "generator": self.generator, **options}
        return run_training(
            self.network, self.loss, self.batches(), budget=budget, clock=self.clock, **options
        )

    def weights(self):
        return {name: value.clone() for name, value in self.network.state_dict().items()}


class TestBudget:
    def test_the_nearer_limit_counts(self):
        assert Budget(10).fraction(5, 1e9) == 0.5
        assert Budget(None, 100).fraction(10**9, 25) == 0.25
        assert Budget(10, 100).fraction(1, 80) == 0.8
        assert Budget(10, 100).fraction(9, 1) == 0.9

    def test_least_steps_are_done_however_long_they_take(self):
        budget = Budget(None, 10.0, least_steps=100, most_seconds=1000.0)
        assert budget.fraction(99, 500.0) == 0.99
        assert budget.fraction(100, 500.0) == 1
        assert budget.fraction(100, 5.0) == 0.5  # the time that was asked for is used
        assert budget.fraction(20, 1000.0) == 1
        assert Budget(None, 10.0, least_steps=100).fraction(0, 40.0) == 1

    @given(
        st.integers(1, 50) | st.none(),
        st.integers(0, 50),
        st.floats(0.1, 5.0),
        st.floats(1.0, 5.0),
        st.lists(st.floats(0, 1.0), max_size=60),
    )
    def test_the_done_part_never_falls(self, steps, least, seconds, factor, durations):
        budget = Budget(steps, seconds, least, factor * seconds)
        times = list(itertools.accumulate(durations, initial=0.0))
        parts = [budget.fraction(step, elapsed) for step, elapsed in enumerate(times)]
        assert parts == sorted(parts)

    def test_time_left(self):
        budget = Budget(None, 10.0, least_steps=100, most_seconds=60.0)
        assert budget.seconds_left(50, 5.0, per_step=0.01) == 5.0
        assert budget.seconds_left(50, 20.0, per_step=0.4) == 20.0
        assert budget.seconds_left(50, 55.0, per_step=1.1) == 5.0
        assert Budget(30).seconds_left(10, 5.0, per_step=0.5) == 10.0

    @given(st.integers(1, 10**6), st.floats(1e-3, 1e6), st.integers(0, 10**7), st.floats(0, 1e7))
    def test_between_nothing_and_all(self, steps, seconds, step, elapsed):
        part = Budget(steps, seconds).fraction(step, elapsed)
        assert 0 <= part <= 1
        assert (part == 1) == (step >= steps or elapsed >= seconds)

    @pytest.mark.parametrize("budget", [Budget(0), Budget(None, 0.0), Budget(0, 60), Budget(60, 0.0)])
    def test_nothing_to_spend_is_spent(self, budget):
        assert budget.fraction(0, 0.0) == 1
        assert Task().run(budget).steps == 0

    def test_an_endless_training_is_refused(self):
        with pytest.raises(ValueError, match="needs a limit"):
            Budget()

    def test_steps_are_kept(self):
        task = Task()
        history = task.run()
        assert history.steps == len(task.fractions) == STEPS
        assert not history.cancelled
        assert task.fractions == pytest.approx([k / STEPS for k in range(STEPS)])

    def test_a_slow_machine_is_waited_for_and_told(self):
        events = []
        history = Task().run(Budget(None, 1e-6, least_steps=400, most_seconds=60.0), progress=events.append)
        assert history.steps == history.least_steps == 400
        assert not history.too_few_steps
        assert all(event.overtime for event in events[:-1])

    def test_too_few_steps_are_told(self):
        history = Task().run(Budget(None, 1e-6, least_steps=10**6))
        assert 0 < history.steps < 10**6
        assert history.too_few_steps
        assert not Task().run(Budget(5, 1e-6, least_steps=10**6, most_seconds=60.0)).too_few_steps

    def test_seconds_are_kept(self):
        history = Task().run(Budget(None, 0.3))
        assert 0.3 <= history.seconds < 5
        assert history.steps > 0


class TestLearningRate:
    @given(st.floats(0, 1), st.floats(0.01, 0.5))
    def test_within_the_peak(self, fraction, warmup):
        assert 0 <= learning_rate_at(fraction, warmup=warmup) <= 1

    @pytest.mark.parametrize("warmup", [0.0, 0.08, 0.3])
    def test_up_and_down(self, warmup):
        rates = [learning_rate_at(k / 1000, warmup=warmup) for k in range(1001)]
        top = round(warmup * 1000)
        assert rates[top] == pytest.approx(1)
        assert rates[-1] == pytest.approx(0)
        assert all(a <= b for a, b in itertools.pairwise(rates[: top + 1]))
        assert all(a >= b for a, b in itertools.pairwise(rates[top:]))
        assert max(abs(a - b) for a, b in itertools.pairwise(rates)) < 0.05


class TestTraining:
    def test_it_learns(self):
        history = Task().run(Budget(150))
        assert history.losses[-1][2] < 0.2 * history.losses[0][2]
        assert [step for step, _, _ in history.losses] == [1, *range(10, 151, 10)]

    def test_ends_in_evaluation_mode(self):
        task = Task()
        task.run()
        assert not task.network.training

    def test_same_seed_same_weights(self):
        first, second = Task(), Task()
        first.run()
        second.run()
        assert all(torch.equal(value, second.weights()[name]) for name, value in first.weights().items())

    def test_progress_goes_from_little_to_all(self, monkeypatch):
        events = []
        clock = itertools.count()
        monkeypatch.setattr(run_module.time, "monotonic", lambda: float(next(clock)))
        Task().run(progress=events.append)
        fractions = [event.fraction for event in events]
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1
        assert len(events) > 3
        assert all(event.stage == "test" for event in events)
        left = [event.seconds_left for event in events]
        assert all(value is not None and value >= 0 for value in left)
        assert left[-1] == 0

    def test_a_loss_that_is_not_finite_is_not_recorded(self):
        task = Task()
        honest = task.loss
        task.loss = lambda points: honest(points) * (math.inf if len(task.fractions) == 10 else 1)
        history = task.run(Budget(10))
        assert [step for step, _, _ in history.losses] == [1]

    def test_an_overflow_does_not_ruin_the_weights(self):
        task = Task()
        honest = task.loss
        task.loss = lambda points: honest(points) * (math.nan if len(task.fractions) == 4 else 1)
        history = task.run(Budget(150))
        assert all(torch.isfinite(value).all() for value in task.weights().values())
        assert history.losses[-1][2] < 0.3 * history.losses[0][2]


class TestNotFinite:
    def test_a_loss_that_is_not_a_number_from_the_start_ends_the_training(self):
        task, steps = Task(), []
        task.loss = lambda points: (task.network(points) * float("nan")).mean()
        with pytest.raises(InputError, match="test: stopped, since the loss"):
            task.run(Budget(1000), after_step=steps.append)
        assert len(steps) < 100

    def test_a_gradient_that_overflows_in_every_step_ends_the_training(self):
        task, steps = Task(), []
        # The square root of zero is finite, its slope is not.
        task.loss = lambda points: (task.network(points) * 0).sum().abs().sqrt()
        with pytest.raises(InputError, match="its gradient was not a finite number"):
            task.run(Budget(1000), after_step=steps.append)
        assert len(steps) < 100

    def test_single_overflows_are_passed_over(self):
        task, plain = Task(), Task()
        original, calls = task.loss, itertools.count()
        task.loss = lambda points: original(points) * (float("inf") if next(calls) % 3 == 0 else 1.0)
        assert task.run(Budget(90)).steps == 90
        assert all(value.isfinite().all() for value in task.weights().values())
        with torch.no_grad():
            task.network.eval()
            points = torch.rand(64, 2, generator=plain.generator)
            assert original(points) < plain.network.eval()(points)[:, 0].sub(points.sum(1)).square().mean()

    def test_the_checkpoint_of_before_is_kept(self, tmp_path):
        path, task = tmp_path / "c.safetensors", Task()
        task.run(checkpoint=Checkpoint(path))
        before = path.read_bytes()
        broken = Task()
        broken.loss = lambda points: broken.network(points).mean() * float("nan")
        with pytest.raises(InputError, match="stopped"):
            broken.run(Budget(STEPS + 100), checkpoint=Checkpoint(path, resume=True))
        assert path.read_bytes() == before


def test_a_training_takes_no_more_threads_than_granted(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    try:
        torch.set_num_threads(2)
        seen = []
        Task().run(after_step=lambda fraction: seen.append(torch.get_num_threads()))
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


class TestBatches:
    """Sources of batches: generators, lists, data loaders."""

    def run(self, task, batches, steps=STEPS, **options):
        return run_training(
            task.network,
            task.loss,
            batches,
            stage="test",
            budget=Budget(steps),
            learning_rate=0.02,
            generator=task.generator,
            **options,
        )

    def test_a_data_loader_is_iterated_as_often_as_needed(self):
        task = Task()
        points = TensorDataset(torch.rand(64, 2, generator=torch.Generator().manual_seed(1)))
        loader = DataLoader(
            points, 16, shuffle=True, collate_fn=lambda rows: torch.stack([x for (x,) in rows])
        )
        history = self.run(task, loader, steps=100)
        assert history.steps == 100
        assert history.losses[-1][2] < 0.3 * history.losses[0][2]

    @pytest.mark.parametrize("steps", [1, 9])
    def test_a_data_loader_with_a_seeded_sampler_is_resumed(self, tmp_path, steps):
        points = torch.rand(40, 2, generator=torch.Generator().manual_seed(1))

        def run(task, count, **options):
            sampler = SeededBatchSampler(len(points), 8, generator=task.generator)
            return self.run(task, DataLoader(points, batch_sampler=sampler), count, **options)

        whole, first, second = Task(), Task(), Task(seed=99)
        run(whole, STEPS)
        token, honest = CancelToken(), first.loss
        seen = []

        def loss(batch):
            seen.append(batch)
            if len(seen) == steps:
                token.cancel()
            return honest(batch)

        first.loss = loss
        path = tmp_path / "checkpoint.safetensors"
        run(first, STEPS, checkpoint=Checkpoint(path), cancel=token)
        history = run(second, STEPS, checkpoint=Checkpoint(path, resume=True))
        assert history.steps == STEPS
        assert all(torch.equal(value, second.weights()[name]) for name, value in whole.weights().items())

    def test_too_few_batches_are_named(self):
        task = Task()
        with pytest.raises(ValueError, match="batches ended before the budget"):
            self.run(task, iter([torch.rand(16, 2)] * 3))
        with pytest.raises(ValueError, match="batches ended before the budget"):
            self.run(task, [])


class TestAfterStep:
    def test_between_all_steps_with_the_done_part(self):
        seen = []
        Task().run(Budget(4), after_step=seen.append)
        assert seen == [0.25, 0.5, 0.75, 1.0]

    def test_it_may_leave_the_network_in_evaluation_mode(self):
        plain, watched, modes = Task(), Task(), []
        plain.run()
        honest = watched.loss
        watched.loss = lambda points: (modes.append(watched.network.training), honest(points))[1]
        watched.run(after_step=lambda _: watched.network.eval()(torch.ones(1, 2)))
        assert all(modes)
        assert all(torch.equal(value, watched.weights()[name]) for name, value in plain.weights().items())


class TestCancel:
    def test_stops_and_keeps_what_was_learned(self, tmp_path):
        task, token = Task(), CancelToken()
        before = task.weights()
        honest = task.loss

        def loss(points):
            if len(task.fractions) == 10:
                token.cancel()
            return honest(points)

        task.loss = loss
        path = tmp_path / "checkpoint.safetensors"
        history = task.run(checkpoint=Checkpoint(path), cancel=token)
        assert history.cancelled
        assert history.steps == 10
        assert not task.network.training
        assert path.exists()
        assert not torch.equal(task.weights()["0.weight"], before["0.weight"])

    def test_before_the_first_step(self):
        token = CancelToken()
        token.cancel()
        history = Task().run(cancel=token)
        assert (history.steps, history.cancelled, history.losses) == (0, True, [])


class TestResume:
    def stop_after(self, steps, path, **options):
        """A training that is cancelled after so many steps."""
        task, token = Task(), CancelToken()
        honest = task.loss

        def loss(points):
            if len(task.fractions) == steps:
                token.cancel()
            return honest(points)

        task.loss = loss
        task.run(checkpoint=Checkpoint(path, **options), cancel=token)
        return task

    @pytest.mark.parametrize("steps", [1, 10, 23])
    def test_as_if_never_stopped(self, tmp_path, steps):
        whole = Task()
        record = whole.run()
        path = tmp_path / "checkpoint.safetensors"
        self.stop_after(steps, path)
        second = Task(seed=99)  # other weights and another state of chance: all of it comes from the file
        history = second.run(checkpoint=Checkpoint(path, resume=True))
        assert history.steps == STEPS
        assert len(second.fractions) == STEPS - steps
        assert not history.cancelled
        assert all(torch.equal(value, second.weights()[name]) for name, value in whole.weights().items())
        assert torch.equal(whole.generator.get_state(), second.generator.get_state())
        assert [entry[0] for entry in history.losses] == [entry[0] for entry in record.losses]
        # Smoothed values are rounded before they are kept.
        losses = [entry[2] for entry in record.losses]
        assert [entry[2] for entry in history.losses] == pytest.approx(losses, abs=1e-4)

    def test_from_the_last_checkpoint_after_a_crash(self, tmp_path):
        whole = Task()
        whole.run()
        path = tmp_path / "checkpoint.safetensors"
        crashing = Task()
        honest = crashing.loss

        def loss(points):
            if len(crashing.fractions) == 14:
                raise MemoryError
            return honest(points)

        crashing.loss = loss
        with pytest.raises(MemoryError):
            crashing.run(checkpoint=Checkpoint(path, interval=0.0))
        second = Task(seed=99)
        second.run(checkpoint=Checkpoint(path, resume=True))
        assert all(torch.equal(value, second.weights()[name]) for name, value in whole.weights().items())

    def test_the_optimizer_keeps_its_memory_format(self, tmp_path, monkeypatch):
        path, seen = tmp_path / "checkpoint.safetensors", []
        honest = torch.optim.AdamW.step

        def step(optimizer):
            honest(optimizer)
            for parameter, state in optimizer.state.items():
                seen.append((parameter.stride(), state["exp_avg"].stride(), state["exp_avg_sq"].stride()))

        for steps in (1, 2):
            network = nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)
            run_training(
                network,
                lambda images, network=network: network(images).square().sum(),
                [torch.ones(1, 3, 4, 4)],
                stage="s",
                budget=Budget(steps=steps),
                learning_rate=0.1,
                generator=torch.Generator(),
                checkpoint=Checkpoint(path, resume=True),
            )
            monkeypatch.setattr(torch.optim.AdamW, "step", step)
        assert seen
        assert all(len(set(strides)) == 1 for strides in seen)

    def test_seconds_go_on(self, tmp_path):
        path = tmp_path / "checkpoint.safetensors"
        first = Task().run(Budget(None, 0.2), checkpoint=Checkpoint(path))
        again = Task().run(Budget(None, 0.2), checkpoint=Checkpoint(path, resume=True))
        assert again.steps == first.steps
        more = Task().run(Budget(None, 1.0), checkpoint=Checkpoint(path, resume=True))
        assert more.steps > first.steps

    def test_without_the_wish_the_file_is_not_read(self, tmp_path):
        path = tmp_path / "checkpoint.safetensors"
        path.write_bytes(b"nonsense")
        assert Task().run(checkpoint=Checkpoint(path)).steps == STEPS

    def test_nothing_there_yet(self, tmp_path):
        assert Task().run(checkpoint=Checkpoint(tmp_path / "none", resume=True)).steps == STEPS

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda tensors: {}, "do not fit"),
            (lambda tensors: {k: v for k, v in tensors.items() if k != "generator"}, "is not a checkpoint"),
            (
                lambda tensors: {**tensors, "generator": torch.zeros(3, dtype=torch.uint8)},
                "is not a checkpoint",
            ),
            (lambda tensors: {**tensors, "network.0.weight": torch.zeros(3, 3)}, "do not fit"),
        ],
    )
    def test_a_strange_checkpoint_is_named(self, tmp_path, spoil, message):
        path = tmp_path / "checkpoint.safetensors"
        self.stop_after(3, path)
        tensors, metadata = load_tensors(path)
        save_tensors(path, spoil(tensors), metadata=metadata)
        with pytest.raises(InputError, match=f"{path.name}.*{message}"):
            Task().run(checkpoint=Checkpoint(path, resume=True))

    def test_a_checkpoint_without_history_is_named(self, tmp_path):
        path = tmp_path / "checkpoint.safetensors"
        self.stop_after(3, path)
        save_tensors(path, load_tensors(path)[0])
        with pytest.raises(InputError, match=path.name):
            Task().run(checkpoint=Checkpoint(path, resume=True))
