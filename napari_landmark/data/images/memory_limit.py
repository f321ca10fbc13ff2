"""Whether an image fits into this machine's memory, told from its header before anything is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from napari_landmark.data.errors import InputError

_SHARE = 0.6  # of the memory; the rest is for what else is open
_WHERE_UNKNOWN = 8 * 1024**3
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def check_fits(shape: Sequence[int], bytes_per_pixel: float) -> None:
    """Refuse an image whose pixels do not fit into memory (InputError).

    What counts is the memory that the machine has, not what is free just now: the same folder must give the
    same cohort tomorrow.

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
    """Bytes of memory that this process may use at most, whoever uses them now."""
    limits = []
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for place in _CGROUP_LIMITS:
        try:
            limits.append(int(Path(place).read_text()))
        except (OSError, ValueError):  # 'max'
            continue
    return min([limit for limit in limits if limit > 0], default=_WHERE_UNKNOWN)
