"""Sample data of the demonstration on disk."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.synthetic.hand import LANDMARKS, REGIONS
from napari_landmark.synthetic.radiograph import Phantom, hand_phantom
from napari_landmark.synthetic.schemas import hand_schema

TRAINING_IMAGES = 44
HELD_OUT_IMAGES = 12
SAMPLE_SPACING = 0.5  # mm; the files do not hold it, as with many a radiograph's export


def write_sample_data(folder: str | Path) -> None:
    """Write the sample cohort: images, label maps, landmarks of one template and held-out truth.

    Parameters
    ----------
    folder : str or Path
        Created if missing. ``images/`` gets the training images, ``heldout/images/`` others with their
        landmarks in ``heldout/truth.csv``, ``labels/`` one label map for each image of both, and
        ``template.csv`` the landmarks of the first training image, ``schema.json`` definitions, links and measurements.
    """
    folder = Path(folder)
    for name in ("images", "heldout/images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    held_out: list[Phantom] = []
    for seed in range(TRAINING_IMAGES + HELD_OUT_IMAGES):
        phantom = hand_phantom(seed)
        name = phantom.image.name
        training = seed < TRAINING_IMAGES
        _write_png(folder / ("images" if training else "heldout/images") / name, phantom.image.array)
        _write_png(folder / "labels" / name, phantom.labels)
        if seed == 0:
            atomic_write(folder / "template.csv", landmark_table([phantom]))
        if not training:
            held_out.append(phantom)
    atomic_write(folder / "heldout" / "truth.csv", landmark_table(held_out))
    hand_schema().write(folder / "schema.json")
    atomic_write(folder / "README.md", _README)


def landmark_table(phantoms: list[Phantom]) -> str:
    """CSV of the landmarks of phantoms, in pixels."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    ndim = phantoms[0].image.geometry.ndim
    writer.writerow(("image", "landmark", "x", "y", "z")[: 2 + ndim])
    for phantom in phantoms:
        for name, position in zip(phantom.landmarks, phantom.landmarks.positions(), strict=True):
            writer.writerow((phantom.image.name, name, *(f"{value:.3f}" for value in reversed(position))))
    return text.getvalue()


def _write_png(path: Path, array: np.ndarray) -> None:
    import SimpleITK as sitk  # only writing needs it

    sitk.WriteImage(sitk.GetImageFromArray(array), str(path), useCompression=True, compressionLevel=9)


_README = f"""# Sample data

Everything here is synthetic: schematic hand radiographs drawn by `napari_landmark/synthetic/`. No patient was imaged,
and the pictures are not anatomically exact. `python -m napari_landmark.synthetic sample_data` draws them again.

- `images/`: {TRAINING_IMAGES} images to train on. Landmarks are given for `hand_000.png` only.
- `template.csv`: the {len(LANDMARKS)} landmarks of `hand_000.png`, in pixels (x = column, y = row, from 0).
- `heldout/images/`: {HELD_OUT_IMAGES} further images, with the true landmarks in `heldout/truth.csv`, for scoring.
- `schema.json`: definitions of the landmarks, links, and measurements to try.
- `labels/`: a label map for each image of both folders, under the same name:
  {", ".join(f"{value} {name}" for name, value in REGIONS.items())}.

The files contain no spacing. Take {SAMPLE_SPACING} mm a pixel where millimetres are asked for.

`volumes/`, where it is written as well, has CT of heads with a page of its own.
"""
