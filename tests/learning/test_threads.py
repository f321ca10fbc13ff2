"""Threads of a computation: no more than a scheduler, a container or the caller allows."""

from __future__ import annotations

import os

import pytest
import torch

from napari_landmark.learning import threads
from napari_landmark.learning.threads import available_cores, computing_threads, thread_limit


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Function that imitates a machine of 64 cores with variables and files of control groups."""
    monkeypatch.setattr(threads, "_affinity", lambda: 64)
    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(threads, "_CGROUPS", tmp_path / "cgroup")

    def imitate(files=None, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        for name, text in (files or {}).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return imitate


@pytest.fixture(autouse=True)
def _threads_of_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_cores_of_a_free_machine(machine):
    assert available_cores() == 64


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no affinity masks")
def test_an_affinity_mask(monkeypatch, machine):
    monkeypatch.undo()
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
    assert available_cores() == 1


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SLURM_CPUS_PER_TASK": "6"}, 6),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"OMP_NUM_THREADS": "8", "SLURM_CPUS_PER_TASK": "2"}, 2),
        ({"OMP_NUM_THREADS": "128"}, 64),
        ({"OMP_NUM_THREADS": "many", "SLURM_CPUS_PER_TASK": "0"}, 64),
    ],
)
def test_variables_of_schedulers(machine, variables, expected):
    machine(**variables)
    assert available_cores() == expected


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("400000 100000", 4),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("max 100000", 64),
        ("", 64),
        ("?", 64),
    ],
)
def test_a_container_with_control_groups_of_version_2(machine, quota, expected):
    machine({"proc/self/cgroup": "0::/\n", "cgroup/cpu.max": quota})
    assert available_cores() == expected


def test_the_quota_of_an_outer_group(machine):
    machine(
        {
            "proc/self/cgroup": "0::/slurm/job_7/step_0\n",
            "cgroup/slurm/job_7/step_0/cpu.max": "max 100000\n",
            "cgroup/slurm/job_7/cpu.max": "300000 100000\n",
            "cgroup/slurm/cpu.max": "3200000 100000\n",
        }
    )
    assert available_cores() == 3


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_a_container_with_control_groups_of_version_1(machine, mount):
    machine(
        {
            "proc/self/cgroup": "9:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n0::/\n",
            f"cgroup/{mount}/docker/a/cpu.cfs_quota_us": "-1\n",
            f"cgroup/{mount}/docker/a/cpu.cfs_period_us": "100000\n",
            f"cgroup/{mount}/cpu.cfs_quota_us": "250000\n",
            f"cgroup/{mount}/cpu.cfs_period_us": "100000\n",
        }
    )
    assert available_cores() == 2


def test_the_limit_is_put_back_even_after_an_error(machine):
    torch.set_num_threads(3)
    machine(OMP_NUM_THREADS="2")
    assert computing_threads() == 2
    with pytest.raises(RuntimeError, match="inside"), thread_limit():
        assert torch.get_num_threads() == 2
        raise RuntimeError("inside")
    assert torch.get_num_threads() == 3


def test_fewer_threads_of_the_caller_are_kept(machine):
    torch.set_num_threads(2)
    machine(SLURM_CPUS_PER_TASK="16")
    with thread_limit():
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 2
