"""Dice, landmark error, folding and time of one registration, measured the same way for every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from registration_pairs import PairSet

from napari_landmark.registration.pairwise.measures import landmark_errors, warped_dice
from napari_landmark.registration.transform.grids import world_geometry
from napari_landmark.registration.transform.transform import Transform


@dataclass(frozen=True)
class PairMeasures:
    """Quality measures of one registration.

    Attributes
    ----------
    fixed, moving : str
    dice : dict of int to float
        By label; labels in neither image are left out.
    errors : list of float
        Of every landmark, in mm of the fixed image, in pixels where its spacing is not known.
    lost : int
        Landmarks that no point of the fixed image is mapped to; their error is measured in the moving image.
    folding : float
        Percentage of the fixed image's pixels at which the transform folds.
    seconds : float
    fresh : bool
        Whether the time was taken in this run.
    """

    fixed: str
    moving: str
    dice: dict[int, float]
    errors: list[float]
    lost: int
    folding: float
    seconds: float
    fresh: bool = True

    @property
    def mean_dice(self) -> float | None:
        """Over the labels, None where there are none."""
        return float(np.mean(list(self.dice.values()))) if self.dice else None


def measure(
    data: PairSet, pair: tuple[str, str], transform: Transform, seconds: float, *, fresh: bool = True
) -> PairMeasures:
    """Measure a transform by the label maps and landmarks of both images."""
    labels = [data.labels(name) for name in pair]
    dice = {} if labels[0] is None or labels[1] is None else warped_dice(transform, *labels)
    errors, lost = [], 0
    if all(name in data.landmarks for name in pair):
        found = landmark_errors(transform, *(data.landmarks[name] for name in pair))
        errors, lost = list((found.mm or found.px).values()), len(found.lost)
    folding = on_pixels(transform).folding_percent()
    return PairMeasures(*pair, dice, errors, lost, folding, seconds, fresh)


def on_pixels(transform: Transform) -> Transform:
    """The same transform, sampled at the pixels of the fixed image: so folding is counted alike for all methods."""
    world = world_geometry(transform.fixed)
    if transform.grid == world:
        return transform
    index = np.stack(np.meshgrid(*map(np.arange, world.shape), indexing="ij"), axis=-1)
    index = index.reshape(-1, world.ndim)
    moved = transform.moving_world.to_world(transform.to_moving(index)) - world.to_world(index)
    return Transform(transform.fixed, transform.moving, world, moved.reshape(*world.shape, world.ndim))


def summary(
    rows: Sequence[PairMeasures], groups: Mapping[str, Sequence[int]] | None = None
) -> dict[str, float | int | dict[str, float] | None]:
    """Means over pairs, over labels of each group, and over landmarks; None for unknown values.

    The time is the median, so that work done only for the first pair does not count; of this run only where
    any pair was timed in it.
    """
    fresh = [row for row in rows if row.fresh]
    labels = sorted({label for row in rows for label in row.dice})
    errors = [error for row in rows for error in row.errors]
    overlaps = [row.mean_dice for row in rows if row.mean_dice is not None]
    by_group = {
        name: _mean([np.mean([row.dice[label] for label in labels if label in row.dice]) for row in rows])
        for name, labels in (groups or {}).items()
    }
    return {
        "n_pairs": len(rows),
        **{f"dice {name}": value for name, value in by_group.items()},
        "dice": _mean(overlaps),
        "dice_worst": min(overlaps, default=None),
        "dice_per_label": {
            str(label): _mean([row.dice[label] for row in rows if label in row.dice]) for label in labels
        },
        "tre": _mean(errors),
        "tre_median": float(np.median(errors)) if errors else None,
        "lost_percent": 100 * sum(row.lost for row in rows) / len(errors) if errors else None,
        "folding_percent": _mean([row.folding for row in rows]),
        "seconds_per_pair": float(np.median([row.seconds for row in fresh or rows])),
        "seconds_of_this_run": bool(fresh),
    }


def as_json(rows: Sequence[PairMeasures]) -> list[dict]:
    """Plain values, pair by pair."""
    return [asdict(row) for row in rows]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
