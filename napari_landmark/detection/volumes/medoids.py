"""Members of a set that are near to all others: k-medoids (Kaufman and Rousseeuw, 1990)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MOST_ROUNDS = 100


def medoids(distances: NDArray[np.floating], count: int) -> list[int]:
    """Members with the least mean distance of all members to the nearest of them.

    Built one by one and improved by exchanges (PAM). The first of them has the largest share of the members nearest to
    it, the others follow by theirs; of one share, the one that is nearer to all comes first.

    Parameters
    ----------
    distances : (n, n) array
        Symmetric, 0 on the diagonal.
    count : int
        At least 1; all members where there are no more.
    """
    members = range(len(distances))
    chosen: list[int] = []
    for _ in range(min(count, len(distances))):
        rest = [member for member in members if member not in chosen]
        chosen.append(min(rest, key=lambda member: _cost(distances, [*chosen, member])))
    for _ in range(_MOST_ROUNDS):
        exchanges = [
            [*chosen[:place], member, *chosen[place + 1 :]]
            for place in range(len(chosen))
            for member in members
            if member not in chosen
        ]
        best = min(exchanges, key=lambda members: _cost(distances, members), default=chosen)
        if _cost(distances, best) >= _cost(distances, chosen) - 1e-9:
            break
        chosen = best
    nearest = distances[:, chosen].argmin(1)
    shares = np.bincount(nearest, minlength=len(chosen))
    order = sorted(range(len(chosen)), key=lambda k: (-shares[k], distances[:, chosen[k]].mean()))
    return [chosen[k] for k in order]


def _cost(distances: NDArray[np.floating], chosen: list[int]) -> float:
    return float(distances[:, chosen].min(1).mean())
