"""Number of threads of a computation on the processor.

torch takes a thread for each core of the machine. A scheduler or a container may grant fewer: more threads than that
wait for each other, and a training becomes several times slower.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import torch

_VARIABLES = ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK")
_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Number of CPU cores that this process may use, at least 1.

    The least of the affinity mask, `OMP_NUM_THREADS`, `SLURM_CPUS_PER_TASK` and the CPU quota of the control group.
    """
    limits = [_affinity(), _quota(), *(_variable(name) for name in _VARIABLES)]
    return max(1, min(limit for limit in limits if limit is not None))


def computing_threads() -> int:
    """Number of threads within `thread_limit`: those that torch is set to, or fewer."""
    return min(torch.get_num_threads(), available_cores())


@contextlib.contextmanager
def thread_limit() -> Iterator[None]:
    """Context with at most `available_cores` threads; the number of before is put back.

    Threads are never added: the caller may have chosen fewer.
    """
    before, limited = torch.get_num_threads(), computing_threads()
    if limited == before:
        yield
        return
    torch.set_num_threads(limited)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _variable(name: str) -> int | None:
    first = os.environ.get(name, "").split(",")[0].strip()  # OMP_NUM_THREADS=4,2: of each level of nesting
    return int(first) if first.isdecimal() and int(first) > 0 else None


def _quota() -> int | None:
    """Whole cores of the CPU quota of the control group of this process; None without a quota."""
    shares = []
    for controllers, group in _groups():
        for folder in (group, *group.parents):
            inner = folder.relative_to("/")
            if controllers == "":
                shares.append(_share(_CGROUPS / inner / "cpu.max"))
            elif "cpu" in controllers.split(","):
                for mount in (controllers, "cpu"):
                    shares.append(
                        _share(*(_CGROUPS / mount / inner / f"cpu.cfs_{n}_us" for n in ("quota", "period")))
                    )
    known = [share for share in shares if share is not None]
    return max(1, int(min(known))) if known else None


def _groups() -> list[tuple[str, PurePosixPath]]:
    """Controllers and path of each control group; the controllers of version 2 are an empty text."""
    try:
        lines = (_PROC / "self" / "cgroup").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    parts = [line.split(":", 2) for line in lines]
    return [(part[1], PurePosixPath(part[2])) for part in parts if len(part) == 3 and part[2].startswith("/")]


def _share(*files: Path) -> float | None:
    """Cores of a quota and a period in microseconds, in one file or two; None where there is no quota."""
    try:
        quota, period = (int(text) for file in files for text in file.read_text().split())
    except (OSError, ValueError):  # "max" is no limit in version 2
        return None
    return quota / period if quota > 0 and period > 0 else None  # -1 is no limit in version 1
