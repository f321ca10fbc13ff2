"""Pairs of images on which registration is measured, with their label maps and landmarks.

Every choice follows from a fixed seed, so that all methods see the same pairs on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from cephalometric import read_truth
from numpy.typing import NDArray

from napari_landmark.data.formats.landmark_csv import read_csv
from napari_landmark.data.images.image import MedicalImage, read_image
from napari_landmark.data.landmarks import LandmarkSet

SEED = 2024
CHEST_HELD_OUT = 60
CEPHALOGRAM_TEMPLATE = "125.jpg"
MOUSE_FIXED = "129S1_SVLMJ_.nii.gz"
BRAINS_HELD_OUT = 6  # 30 ordered pairs
ONE_PERSON = ("1003.nii.gz", "1023.nii.gz")  # two scans, which are never a pair
SUBCORTICAL = (
    *(4, 23, 30, 31, 32, 35, 36, 37, 47, 48, 49, 50),
    *(51, 52, 55, 56, 57, 58, 59, 60, 61, 62, 75, 76),
)
"""Third ventricle, brain stem; of both sides accumbens, amygdala, caudate, hippocampus, inferior lateral and lateral
ventricle, pallidum, putamen, thalamus, ventral diencephalon, basal forebrain."""
SAMPLE_DATA = Path(__file__).resolve().parent.parent / "sample_data"


@dataclass(frozen=True, eq=False)
class PairSet:
    """Pairs to register, and images to train on.

    Attributes
    ----------
    name : str
    images : dict of str to Path
        All images of the set by name.
    pairs : list of (str, str)
        Names of the fixed and the moving image.
    learning : list of str
        Images that a model may be trained on; `describe` tells whether some are in pairs, too.
    labelled : list of str
        Training images with a label map, in the order in which they are taken.
    label_files : dict of str to Path
        Label maps of the labelled images and of those in pairs, where there are any.
    landmarks : dict of str to LandmarkSet
        Truth for the images in pairs, where there is any.
    groups : dict of str to list of int
        Labels of which the mean Dice is reported, besides that of all, by name of the group.
    spacing : float or None
        Millimetres per pixel where the files do not contain it.
    binary : bool
        Whether label maps are masks (above 127) rather than numbers of labels.
    working_size : int or None
        For this package's own methods; None for the default.
    any_rotation : bool
        Whether the images have arbitrary rotations.
    """

    name: str
    images: dict[str, Path]
    pairs: list[tuple[str, str]]
    learning: list[str]
    labelled: list[str] = field(default_factory=list)
    label_files: dict[str, Path] = field(default_factory=dict)
    landmarks: dict[str, LandmarkSet] = field(default_factory=dict)
    groups: dict[str, list[int]] = field(default_factory=dict)
    spacing: float | None = None
    binary: bool = False
    working_size: int | None = None
    any_rotation: bool = False

    def image(self, name: str) -> MedicalImage:
        """Read one image."""
        return _read(self.images[name], self.spacing, name)

    def labels(self, name: str) -> NDArray[np.uint8] | None:
        """Its label map in the shape of the image, None where there is none."""
        if name not in self.label_files:
            return None
        array = read_image(self.label_files[name]).array
        return (array > 127).astype(np.uint8) if self.binary else array.astype(np.uint8)

    def describe(self) -> str:
        """Description of the split, with the names of the labelled images."""
        shared = {name for pair in self.pairs for name in pair} & set(self.learning)
        lines = [
            f"{self.name}: {len(self.pairs)} pairs of {len({n for p in self.pairs for n in p})} images, seed {SEED}",
            f"trained on: {len(self.learning)} images"
            + (
                f", {len(shared)} of them also in pairs (without landmarks)"
                if shared
                else ", none of them in a pair"
            ),
        ]
        if self.labelled:
            lines.append(f"label maps in the order in which they are taken: {', '.join(self.labelled[:20])}")
        return "\n".join(lines)


@lru_cache(maxsize=4)
def _read(path: Path, spacing: float | None, name: str) -> MedicalImage:
    return read_image(path, spacing=spacing, name=name)


def random_pairs(names: Sequence[str], count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Different ordered pairs of different images, as many as asked for or as there are."""
    all_pairs = [(a, b) for a in names for b in names if a != b]
    chosen = rng.permutation(len(all_pairs))[:count]
    return [all_pairs[i] for i in chosen]


def phantoms(data: Path, count: int) -> PairSet:
    """Synthetic hands of `sample_data`: eight labels, 23 landmarks; pairs among the twelve held-out images."""
    learning = _images(SAMPLE_DATA / "images")
    held_out = _images(SAMPLE_DATA / "heldout" / "images")
    rng = np.random.default_rng(SEED)
    images = learning | held_out
    return PairSet(
        "phantoms",
        images,
        random_pairs(list(held_out), count, rng),
        list(learning),
        labelled=[list(learning)[i] for i in rng.permutation(len(learning))],
        label_files={name: SAMPLE_DATA / "labels" / name for name in images},
        landmarks=read_csv(SAMPLE_DATA / "heldout" / "truth.csv"),
    )


def chest(data: Path, count: int) -> PairSet:
    """Chest radiographs with masks of the lungs; pairs among sixty images that are not trained on."""
    images = _images(data / "chest_lungs" / "images")
    rng = np.random.default_rng(SEED)
    order = [list(images)[i] for i in rng.permutation(len(images))]
    learning, held_out = order[:-CHEST_HELD_OUT], order[-CHEST_HELD_OUT:]
    return PairSet(
        "chest",
        images,
        random_pairs(held_out, count, rng),
        sorted(learning),
        labelled=learning,
        label_files={name: data / "chest_lungs" / "masks" / f"{Path(name).stem}.png" for name in images},
        binary=True,
        working_size=384,
    )


def cephalograms(data: Path, count: int) -> PairSet:
    """The template (moving) and images of `test1` (fixed): 19 landmarks, mean of two readers, 0.2 mm a pixel."""
    folder = data / "cephalograms"
    truth, splits = read_truth(folder / "landmarks.csv")
    wanted = sorted(name for name in truth if splits[name] == "test1")
    chosen = sorted(np.random.default_rng(SEED).permutation(len(wanted))[:count])
    return PairSet(
        "cephalograms",
        {name: folder / "images" / name for name in truth},
        [(wanted[i], CEPHALOGRAM_TEMPLATE) for i in chosen],
        sorted(name for name in truth if splits[name] == "train"),
        landmarks=truth,
        spacing=0.2,
    )


def mouse(data: Path, count: int) -> PairSet:
    """CT of mouse heads in any rotation, all registered to one of them: 45 landmarks, 0.141 mm a voxel."""
    folder = data / "mouse_ct"
    images = _images(folder / "images")
    return PairSet(
        "mouse",
        images,
        [(MOUSE_FIXED, name) for name in images if name != MOUSE_FIXED][:count],
        list(images),
        landmarks=read_csv(folder / "landmarks.csv"),
        any_rotation=True,
    )


def brains(data: Path, count: int) -> PairSet:
    """T1 MR of brains with maps of some 138 structures and 42 landmarks; pairs among six that are not trained on."""
    folder = data / "brains"
    images = _images(folder / "images")
    rng = np.random.default_rng(SEED)
    order = [list(images)[i] for i in rng.permutation(len(images))]
    single = [name for name in order if name not in ONE_PERSON]
    held_out = single[-BRAINS_HELD_OUT:]
    learning = [name for name in order if name not in held_out]
    return PairSet(
        "brains",
        images,
        random_pairs(held_out, count, rng),
        sorted(learning),
        labelled=learning,
        label_files={name: folder / "labels" / name for name in images},
        landmarks=read_csv(folder / "landmarks.csv"),
        groups={"24 subcortical": list(SUBCORTICAL)},
    )


def _images(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


PAIR_SETS: dict[str, Callable[[Path, int], PairSet]] = {
    "phantoms": phantoms,
    "chest": chest,
    "cephalograms": cephalograms,
    "mouse": mouse,
    "brains": brains,
}
