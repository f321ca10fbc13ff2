"""Input of a registration training from folders of images and of label maps, for terminal and worker alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.folder import image_files
from napari_landmark.data.errors import InputError
from napari_landmark.data.images.image import read_geometry
from napari_landmark.progress import CancelToken, Progress
from napari_landmark.registration.label_map import find_label_maps, read_label_map
from napari_landmark.registration.options import WORKING_SIZE


def gather_images(
    folder: Path,
    *,
    spacing: float | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Cohort:
    """The images of a folder on the working grid of a registration; errors are those of `Cohort.from_folder`."""
    size = WORKING_SIZE[_axes(folder)]
    return Cohort.from_folder(folder, spacing=spacing, working_size=size, progress=progress, cancel=cancel)


def require_label_maps(folder: Path, cohort: Cohort, weights: Mapping[int, float]) -> dict[str, Path]:
    """The label maps of images, by name.

    Parameters
    ----------
    folder : Path
    cohort : Cohort
    weights : mapping of int to float
        Weights by label; each label must occur.

    Raises
    ------
    InputError
        No file is called like an image, or a label with a weight is in no label map.
    """
    maps = find_label_maps(folder, cohort.names)
    if not maps:
        raise InputError(
            f"{folder}: none of its files is called like an image of {cohort.folder} (such as {cohort.names[0]})"
        )
    if weights:
        _check_weighted(weights, maps, cohort)
    return maps


def _axes(folder: Path) -> int:
    """Number of axes, 2 or 3, of the first image that can be read."""
    for _, path in image_files(folder)[0]:
        try:
            return read_geometry(path).ndim
        except InputError:
            continue
    return 2  # the cohort will say what is wrong with the folder


def _check_weighted(weights: Mapping[int, float], maps: Mapping[str, Path], cohort: Cohort) -> None:
    known: set[int] = set()
    for name, path in maps.items():
        known |= set(np.unique(read_label_map(path, cohort.geometry(cohort.index(name)))).tolist())
        if known >= set(weights):
            return
    absent = min(set(weights) - known)
    labels = ", ".join(str(label) for label in sorted(known - {0}))
    raise InputError(
        f"region weight {absent}={weights[absent]:g}: no label map has the label {absent} (there are {labels})"
    )
