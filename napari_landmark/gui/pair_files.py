"""Writing a registered pair: the same files as `napari-landmark register pair`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from napari_landmark.data.atomic import atomic_write
from napari_landmark.data.formats import write_landmarks
from napari_landmark.data.nrrd_file import write_nrrd
from napari_landmark.gui.registering import PairResult
from napari_landmark.registration.initial import initial_transform


def save_pair(result: PairResult, folder: Path) -> list[Path]:
    """Write the warped image, labels and landmarks, the transform, the measures and an overview.

    Parameters
    ----------
    folder : Path
        Made where it is not there; files of these names are replaced.

    Returns
    -------
    list of Path
        What was written.
    """
    from napari_landmark.registration.overview import overview_png

    pair, transform, numbers = result.pair, result.registration.transform, result.numbers
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "warped.nrrd"]
    write_nrrd(written[-1], result.views.warped, transform.fixed)
    if result.views.labels is not None:
        written.append(folder / "warped_labels.nrrd")
        write_nrrd(written[-1], result.views.labels, transform.fixed)
    if result.views.landmarks is not None:
        written.append(folder / "warped_landmarks.csv")
        write_landmarks(
            written[-1],
            {pair.fixed.name: result.views.landmarks},
            geometries={pair.fixed.name: transform.fixed},
        )
    written.append(folder / "transform.nrrd")
    transform.save(written[-1], names=(pair.fixed.name, pair.moving.name))
    before = initial_transform(transform.fixed, transform.moving)
    written.append(folder / "overview.png")
    atomic_write(written[-1], overview_png(pair.fixed, pair.moving, before, transform))
    mean_dice, mean_error = numbers.mean_dice or (None, None), numbers.mean_error or (None, None)
    measures = {
        "fixed": pair.fixed.name,
        "moving": pair.moving.name,
        "similarity_before": numbers.similarity[0],
        "similarity": numbers.similarity[1],
        "dice_before": mean_dice[0],
        "dice": mean_dice[1],
        "dice_per_label": {str(label): after for label, (_, after) in numbers.dice.items()},
        f"tre_before_{numbers.unit}": mean_error[0],
        f"tre_{numbers.unit}": mean_error[1],
        "landmarks_guided": result.guided,
        "folding_percent": numbers.folding_percent,
        "seconds": round(result.registration.seconds, 2),
        "terms": {name: float(np.round(value, 6)) for name, value in result.registration.terms.items()},
        "cancelled": result.cancelled,
    }
    written.append(folder / "measures.json")
    atomic_write(written[-1], json.dumps(measures, indent=1) + "\n")
    return written
