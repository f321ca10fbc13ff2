"""Writing a registered pair: the same files as `napari-landmark register pair`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    pair, transform = result.pair, result.registration.transform
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
    if transform.fixed.ndim == 2:
        written.append(folder / "warped.png")
        atomic_write(written[-1], _png(result.views.warped))
    written.append(folder / "measures.json")
    atomic_write(written[-1], json.dumps(_measures(result), indent=1) + "\n")
    return written


def _measures(result: PairResult) -> dict[str, Any]:
    pair, numbers, registration = result.pair, result.numbers, result.registration
    guides = {"labels": bool(numbers.dice), "landmarks": bool(numbers.errors) and result.guided}
    measures: dict[str, Any] = {
        "fixed": pair.fixed.name,
        "moving": pair.moving.name,
        "guided_by": [name for name, used in guides.items() if used],
        "correlation_before": numbers.similarity[0],
        "correlation": numbers.similarity[1],
        "folding_percent": numbers.folding_percent,
        "seconds": registration.seconds,
        "terms": dict(registration.terms),
        "cancelled": result.cancelled,
    }
    for number, when in enumerate(("_before", "")):
        if numbers.mean_dice is not None:
            measures[f"dice{when}"] = numbers.mean_dice[number]
            measures[f"dice{when}_per_label"] = {str(k): both[number] for k, both in numbers.dice.items()}
        if numbers.mean_error is not None:
            measures[f"tre{when}_{numbers.unit}"] = numbers.mean_error[number]
    return measures


def _png(array: NDArray) -> bytes:
    from PIL import Image

    if array.dtype != np.uint8:
        low, high = np.percentile(array, (0.1, 99.9))
        array = np.rint(255 * np.clip((array - float(low)) / max(float(high - low), 1e-9), 0, 1))
    stream = io.BytesIO()
    Image.fromarray(array.astype(np.uint8)).save(stream, format="PNG")
    return stream.getvalue()
