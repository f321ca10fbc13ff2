"""Model card of a landmark training, written beside the model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.landmarks import LandmarkSchema, LandmarkSet
from napari_landmark.learning.model_card import ModelCard

_NOTE = (
    "Expected errors are the model's own estimates (median over the images of the training), and no comparison with a "
    "truth: `napari-landmark evaluate` makes one."
)


def write_landmark_card(
    folder: Path,
    cohort: Cohort,
    schema: LandmarkSchema,
    record: dict[str, Any],
    predictions: dict[str, LandmarkSet],
    *,
    minutes: float,
) -> Path:
    """Write the card of a landmark model into its folder.

    Parameters
    ----------
    folder : Path
    cohort : Cohort
        Images of the training.
    schema : LandmarkSchema
    record : dict
        Record of the training.
    predictions : dict of str to LandmarkSet
        Of its images, by name; empty after a cancelled training.
    minutes : float
        Time of the training.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    kind = "volumes" if cohort.ndim == 3 else "pictures"
    annotated, templates = record.get("annotated_images", "unknown"), _count(record.get("templates"))
    poses = record.get("poses")
    aside = _count(poses.get("left_aside")) if isinstance(poses, dict) else 0
    card = ModelCard(
        title="Landmark model",
        purpose=f"Predicts {len(schema)} landmarks in {kind} of one anatomy, each with an expected error.",
        record=record,
        data=[
            f"Annotated images: {annotated}, of which {templates} as templates; their names are in `model.json`",
            *([f"Images that nothing was learned from: {aside}"] if aside else []),
            f"Landmarks: {', '.join(schema.names)}",
        ],
        figures=[
            ("time of the training", f"{minutes:.1f} minutes"),
            *_figures(cohort, schema, predictions),
        ]
        if predictions
        else (),
        figures_note=_NOTE,
        limits=[
            f"For {kind} alone, and for the landmarks above.",
            "An expected error is an estimate: a wrong position may have a small one. Look at the images.",
        ],
    )
    return card.write(folder)


def _figures(
    cohort: Cohort, schema: LandmarkSchema, predictions: dict[str, LandmarkSet]
) -> list[tuple[str, str]]:
    spacings = [cohort.geometry(cohort.index(name)).spacing for name in predictions]
    in_mm = None not in spacings
    scales = [math.prod(spacing or (1.0,)) ** (1 / cohort.ndim) if in_mm else 1.0 for spacing in spacings]
    errors = np.array(
        [scale * found.expected_errors() for scale, found in zip(scales, predictions.values(), strict=True)]
    )
    unit = "mm" if in_mm else "pixels"
    states = Counter(str(found.image_state) for found in predictions.values() if found.image_state)
    return [
        ("expected error, all landmarks", _median(errors.ravel(), unit)),
        *((f"expected error, {name}", _median(errors[:, k], unit)) for k, name in enumerate(schema.names)),
        *((f"images with the state '{state}'", str(count)) for state, count in sorted(states.items())),
    ]


def _count(names: object) -> int:
    return len(names) if isinstance(names, list | dict) else 0


def _median(errors: Sequence[float] | np.ndarray, unit: str) -> str:
    known = np.asarray(errors)[np.isfinite(errors)]
    return f"{np.median(known):.2f} {unit}" if len(known) else "unknown"
