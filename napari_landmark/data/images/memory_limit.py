"""Refuse an image that does not fit into this machine's memory, by its header."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
import psutil

from napari_landmark.data.errors import InputError

_SHARE = 0.6  # of the memory; the rest is for what else is open
_OWN_CGROUPS = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


def check_fits(shape: Sequence[int], bytes_per_pixel: float) -> None:
    """Refuse an image whose pixels do not fit into memory (InputError).

    The memory that the machine has counts, not what is free now: the same folder must give the same cohort
    tomorrow.

    Parameters
    ----------
    shape : sequence of int
        In array axis order.
    bytes_per_pixel : float
        Everything that is in memory at a time while the image is read.
    """
    needed = float(np.prod(np.asarray(shape, dtype=np.float64))) * bytes_per_pixel
    usable = _SHARE * total_memory()
    if needed > usable:
        size = " x ".join(str(length) for length in reversed(shape))
        raise InputError(
            f"is too large for this machine: {size} pixels need {needed / 1e9:.1f} GB of memory, "
            f"{usable / 1e9:.1f} GB can be used: save a smaller one"
        )


@cache
def total_memory() -> int:
    """Bytes of memory that this process may use at most: of the machine, or of its group of processes on Linux."""
    return min([psutil.virtual_memory().total, *_cgroup_limits()])


def _cgroup_limits() -> Iterator[int]:
    """Limits of the control group of this process and of those that contain it (versions 1 and 2)."""
    try:
        lines = _OWN_CGROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if controllers == "":
            top, name = _CGROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = _CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be one of the host, of which only the top can be seen.
        group = PurePosixPath("/") / own
        for part in (group, *group.parents):
            try:
                limit = int((top / part.relative_to("/") / name).read_text())
            except (OSError, ValueError):  # not there, or 'max'
                continue
            if limit > 0:
                yield limit
