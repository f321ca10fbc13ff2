"""Files of a registered pair: warped image, labels and landmarks, transform, measures, overview."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.formats.registry import write_landmarks
from napari_landmark.data.images.display import scale_to_unit
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.images.nrrd import write_nrrd
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.registration.pairwise.header_alignment import header_alignment
from napari_landmark.registration.pairwise.measures import correlation, landmark_errors, warped_dice
from napari_landmark.registration.result import Registration

PAIR_FILES = (
    "warped.nrrd", "warped.png", "warped_labels.nrrd", "warped_landmarks.csv", "transform.nrrd", "transform.json",
    "overview.png", "measures.json",
)  # fmt: skip
"""Names of all files that may be written."""


@dataclass(frozen=True, eq=False)
class RegisteredPair:
    """Registered pair with the label maps and landmarks of its images.

    Parameters
    ----------
    fixed, moving : MedicalImage
    registration : Registration
    fixed_labels, moving_labels : integer arrays of the images' shapes, optional
    fixed_landmarks, moving_landmarks : LandmarkSet, optional
        In index coordinates of their images.
    guided : bool, optional
        Whether the landmarks guided the registration; otherwise they only measure it.
    cancelled : bool, optional
        Whether the registration was stopped early.
    """

    fixed: MedicalImage
    moving: MedicalImage
    registration: Registration
    fixed_labels: NDArray[np.integer] | None = None
    moving_labels: NDArray[np.integer] | None = None
    fixed_landmarks: LandmarkSet | None = None
    moving_landmarks: LandmarkSet | None = None
    guided: bool = True
    cancelled: bool = False

    def measures(self) -> dict[str, Any]:
        """Quality metrics as plain values; 'before' is the `header_alignment`."""
        fixed, moving, found = self.fixed, self.moving, self.registration
        before, after = header_alignment(fixed.geometry, moving.geometry), found.transform
        measures: dict[str, Any] = {
            "fixed": fixed.name,
            "moving": moving.name,
            "fixed_spacing": fixed.geometry.spacing_statement,
            "moving_spacing": moving.geometry.spacing_statement,
            "guided_by": [],
            "correlation_before": correlation(before, fixed, moving),
            "correlation": correlation(after, fixed, moving),
            "folding_percent": after.folding_percent(),
            "seconds": found.seconds,
            "cancelled": self.cancelled,
            "terms": dict(found.terms),
        }
        if self.fixed_labels is not None and self.moving_labels is not None:
            measures["guided_by"].append("labels")
            for key, transform in (("dice_before", before), ("dice", after)):
                values = warped_dice(transform, self.fixed_labels, self.moving_labels)
                measures[key] = _mean(values)
                measures[f"{key}_per_label"] = {str(label): value for label, value in values.items()}
        if self.fixed_landmarks is not None and self.moving_landmarks is not None:
            if self.guided:
                measures["guided_by"].append("landmarks")
            for key, transform in (("tre_before", before), ("tre", after)):
                errors = landmark_errors(transform, self.fixed_landmarks, self.moving_landmarks)
                measures[f"{key}_px"], measures[f"{key}_mm"] = _mean(errors.px), _mean(errors.mm)
        return measures


def write_pair(pair: RegisteredPair, folder: Path, *, measures: dict[str, Any] | None = None) -> list[Path]:
    """Write the warped image, labels and landmarks, the transform, the measures and an overview.

    Everything is computed before the first file is written.

    Parameters
    ----------
    folder : Path
        Created if needed; files of the names `PAIR_FILES` are replaced.
    measures : dict, optional
        Result of `RegisteredPair.measures`, if it was computed before.

    Returns
    -------
    list of Path
        Files that were written.

    Raises
    ------
    InputError
        The folder cannot be written.
    """
    from napari_landmark.registration.pairwise.qc_figure import qc_figure_png

    fixed, moving, transform = pair.fixed, pair.moving, pair.registration.transform
    measures = pair.measures() if measures is None else measures
    warped = transform.warp_image(moving).array
    labels = None if pair.moving_labels is None else transform.warp_labels(pair.moving_labels)
    marks = None if pair.moving_landmarks is None else transform.warp_landmarks(pair.moving_landmarks)
    overview = qc_figure_png(fixed, moving, header_alignment(fixed.geometry, moving.geometry), transform)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []

    def path(name: str) -> Path:
        written.append(folder / name)
        return written[-1]

    write_nrrd(path("warped.nrrd"), warped, fixed.geometry)
    if warped.ndim == 2:
        atomic_write(path("warped.png"), _png(warped))
    if labels is not None:
        write_nrrd(path("warped_labels.nrrd"), labels, fixed.geometry)
    if marks is not None:
        geometries = {fixed.name: fixed.geometry}
        write_landmarks(path("warped_landmarks.csv"), {fixed.name: marks}, geometries=geometries)
    transform.save(path("transform.nrrd"), names=(fixed.name, moving.name))
    path("transform.json")  # written with it
    atomic_write(path("overview.png"), overview)
    atomic_write(path("measures.json"), json.dumps(measures, indent=1) + "\n")
    return written


def _mean(values: dict[Any, float] | None) -> float | None:
    return float(np.mean(list(values.values()))) if values else None


def _png(array: NDArray) -> bytes:
    """PNG of a picture, scaled to eight bits unless it has eight or sixteen."""
    from PIL import Image

    if array.dtype not in (np.uint8, np.uint16):
        array = np.rint(255 * scale_to_unit(array)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format="PNG")
    return stream.getvalue()
