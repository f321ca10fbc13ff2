"""Registration of brains with five label maps but no training: the maps, carried to both images, guide the pair.

    python benchmarks/registration_label_fusion.py --data DIR [--pairs 8] [--atlases 5] [--groups 16]
        [--atlas-size 192] [--dice 0.3 1] [--plain]

DIR holds `brains`. Pairs and labelled brains are those of `registration.py brains`. Every labelled brain is registered
to each image of a pair by the images alone, its labels are carried over, and each voxel takes the label of most of
them, atlases that look more alike around it counting more (Artaechevarria et al., 2009). The pair is then registered
with these maps. Structures are merged into `--groups` groups such that those that touch are in different ones (a
colouring of the graph of neighbours), so that all borders count on the finest grid; `--groups 0` keeps them apart, on
a coarser grid.
Prints a line a pair with the Dice of the carried maps themselves, too, and of the images alone with `--plain`.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from registration_measures import PairMeasures, measure
from registration_pairs import PairSet, brains

from napari_landmark.registration.options import PAIR_WEIGHTS, PairOptions
from napari_landmark.registration.pairwise.atlas_segmentation import Atlas, segment_by_atlases
from napari_landmark.registration.pairwise.register import register_pair

_MOST_LABELS = 256


class LabelFusion:
    """Label maps of images by labelled brains that are registered to them; kept in a folder if one is given."""

    def __init__(self, data: PairSet, atlases: list[str], size: int, kept: Path | None) -> None:
        self.data, self.atlases, self.size, self.kept = data, atlases, size, kept
        self.seconds = 0.0

    def labels(self, name: str) -> NDArray[np.uint8]:
        """Fused label map of one image, in its shape."""
        path = self.kept and self.kept / f"{name}-{self.size}-{len(self.atlases)}.npy"
        if path and path.exists():
            return np.load(path)
        image, started = self.data.image(name), time.process_time()
        options = PairOptions(device="cpu", working_size=self.size, any_rotation=False)
        atlases = []
        for atlas in self.atlases:
            given = self.data.labels(atlas)
            assert given is not None
            atlases.append(Atlas(self.data.image(atlas), given))
        found = segment_by_atlases(image, atlases, options=options)
        assert found is not None
        fused = found.labels.astype(np.uint8)
        self.seconds += time.process_time() - started
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, fused)
        return fused


def colouring(label_map: NDArray[np.uint8], groups: int) -> NDArray[np.uint8]:
    """Group (1..groups) of each label, so that labels that touch have different ones as far as possible.

    Labels with most neighbours choose first; each takes the group with the shortest common border, of these the one
    with fewest labels.
    """
    most = int(label_map.max()) + 1
    borders = np.zeros((most, most), np.int64)
    for axis in range(label_map.ndim):
        first, second = (np.delete(label_map, side, axis).ravel() for side in (0, -1))
        np.add.at(borders, (first, second), 1)
    borders += borders.T
    labels = [label for label in np.unique(label_map) if label]
    order = sorted(labels, key=lambda label: -np.count_nonzero(borders[label, 1:]))
    chosen = np.zeros(_MOST_LABELS, np.uint8)
    for label in order:
        cost = [
            (borders[label, [o for o in labels if chosen[o] == g]].sum(), np.count_nonzero(chosen == g))
            for g in range(1, groups + 1)
        ]
        chosen[label] = 1 + min(range(groups), key=cost.__getitem__)
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--atlases", type=int, default=5)
    parser.add_argument("--groups", type=int, default=16)
    parser.add_argument(
        "--atlas-size", type=int, default=256, help="longest side of the atlases' working grid"
    )
    parser.add_argument("--dice", type=float, nargs="+", default=[1.0], help="weights of the groups")
    parser.add_argument("--plain", action="store_true", help="the images alone as well")
    parser.add_argument("--given", action="store_true", help="the true maps of both images: an upper limit")
    parser.add_argument("--keep", type=Path, help="keep carried maps here, and use those that are there")
    arguments = parser.parse_args()
    data = brains(arguments.data, 30)
    atlases = data.labelled[: arguments.atlases]
    print("label maps of", *atlases, flush=True)
    fusion = LabelFusion(data, atlases, arguments.atlas_size, arguments.keep)
    rows: dict[str, list[PairMeasures]] = {}
    for number, pair in enumerate(data.pairs[: arguments.pairs]):
        images = [data.image(name) for name in pair]
        maps = [fusion.labels(name) for name in pair]
        for name, fused in zip(pair, maps, strict=True):
            print(
                f"  carried to {name}: {overlap(fused, data, name)}; {fusion.seconds:.0f} s in all",
                flush=True,
            )
        tried: dict[str, tuple[list[NDArray[np.uint8] | None], float]] = {
            f"carried maps, weight {weight:g}": (list(maps), weight) for weight in arguments.dice
        }
        if arguments.given:
            tried["maps given"] = ([data.labels(name) for name in pair], arguments.dice[0])
        if arguments.plain:
            tried["images alone"] = ([None, None], 1.0)
        group_of = colouring(maps[0], arguments.groups) if arguments.groups else None
        for title, (labels, weight) in tried.items():
            if group_of is not None:
                labels = [None if one is None else group_of[one] for one in labels]
            options = PairOptions(
                device="cpu",
                any_rotation=False,
                weights=dataclasses.replace(PAIR_WEIGHTS[3], dice=weight),
            )
            started = time.process_time()
            found = register_pair(*images, fixed_labels=labels[0], moving_labels=labels[1], options=options)
            row = measure(data, pair, found.transform, time.process_time() - started)
            rows.setdefault(title, []).append(row)
            print(f"{number + 1} {pair[1]} on {pair[0]}, {title}: {text([row], data)}", flush=True)
    for title, measures in rows.items():
        print(f"| {title} | {len(measures)} | {text(measures, data)} |")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.2f} GiB")


def overlap(labels: NDArray[np.uint8], data: PairSet, name: str) -> str:
    """Dice of a carried label map with the expert's."""
    truth = data.labels(name)
    assert truth is not None
    both = np.bincount(truth[truth == labels], minlength=256)
    sizes = np.bincount(truth.ravel(), minlength=256) + np.bincount(labels.ravel(), minlength=256)
    values = {label: 2 * both[label] / sizes[label] for label in range(1, 256) if sizes[label]}
    group = [values[label] for label in data.groups["24 subcortical"]]
    return f"Dice {np.mean(list(values.values())):.3f} ({np.mean(group):.3f})"


def text(rows: list[PairMeasures], data: PairSet) -> str:
    group = [np.mean([row.dice[label] for label in data.groups["24 subcortical"]]) for row in rows]
    return (
        f"Dice {np.mean([row.mean_dice for row in rows]):.3f} ({np.mean(group):.3f}) | "
        f"TRE {np.mean([error for row in rows for error in row.errors]):.2f} | "
        f"folding {np.mean([row.folding for row in rows]):.3f}% | {np.mean([row.seconds for row in rows]):.0f} s"
    )


if __name__ == "__main__":
    main()
