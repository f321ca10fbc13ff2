"""Registration of a pair of image files into a folder of results, for terminal and worker alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import find_image
from napari_landmark.data.formats.registry import read_landmarks
from napari_landmark.data.images.image import MedicalImage, read_image
from napari_landmark.data.landmarks import LandmarkSet, check_axes
from napari_landmark.learning.device import choose_device
from napari_landmark.progress import CancelToken, Progress
from napari_landmark.registration.label_map import read_label_map
from napari_landmark.registration.model import RegistrationModel
from napari_landmark.registration.options import PAIR_WEIGHTS, PairOptions
from napari_landmark.registration.pairwise.output import PAIR_FILES, RegisteredPair, write_pair
from napari_landmark.registration.pairwise.register import register_pair


@dataclass(frozen=True, kw_only=True)
class PairFiles:
    """Files of a pair of images.

    Parameters
    ----------
    fixed, moving : Path
    fixed_labels, moving_labels : Path, optional
        Label maps.
    fixed_landmarks, moving_landmarks : Path, optional
        Landmark files of one or of many images.
    """

    fixed: Path
    moving: Path
    fixed_labels: Path | None = None
    moving_labels: Path | None = None
    fixed_landmarks: Path | None = None
    moving_landmarks: Path | None = None


@dataclass(frozen=True)
class WrittenPair:
    """Registered pair whose files were written.

    Parameters
    ----------
    measures : dict
        Quality metrics, see `RegisteredPair.measures`.
    seconds : float
        Of the registration.
    """

    measures: dict[str, Any]
    seconds: float


def register_files(
    files: PairFiles,
    out: Path,
    *,
    model: Path | None = None,
    spacing: float | None = None,
    device: str = "auto",
    steps: int | None = None,
    working_size: int | None = None,
    any_rotation: bool | None = None,
    regions: Mapping[int, float] | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> WrittenPair | None:
    """Register two image files and write all results into a folder, at the end.

    Parameters
    ----------
    out : Path
        Made where it does not exist.
    model : Path, optional
        Folder of a trained model.
    spacing : float, optional
        Millimetres per pixel instead of the files' own.
    steps, working_size, any_rotation
        As in `PairOptions`.
    regions : mapping of int to float, optional
        Weights of labels.

    Returns
    -------
    WrittenPair or None
        None where it was cancelled: nothing was written.

    Raises
    ------
    InputError
        A file cannot be used, or would be overwritten by a result.
    """
    chosen = choose_device(device)
    _keep_inputs(out, files)
    fixed, moving = (read_image(path, spacing=spacing) for path in (files.fixed, files.moving))
    labels_f, labels_m = (
        None if path is None else read_label_map(path, image.geometry)
        for path, image in ((files.fixed_labels, fixed), (files.moving_labels, moving))
    )
    marks_f, marks_m = (
        None if path is None else _landmarks_of(image, path)
        for path, image in ((files.fixed_landmarks, fixed), (files.moving_landmarks, moving))
    )
    trained = None if model is None else RegistrationModel.load(model, device=chosen)
    own = PAIR_WEIGHTS[fixed.geometry.ndim] if trained is None else trained.weights
    found = register_pair(
        fixed,
        moving,
        model=trained,
        fixed_labels=labels_f,
        moving_labels=labels_m,
        fixed_landmarks=marks_f,
        moving_landmarks=marks_m,
        options=PairOptions(
            steps=steps,
            weights=own.with_regions(regions or {}),
            device=device,
            working_size=working_size,
            any_rotation=any_rotation,
        ),
        progress=progress,
        cancel=cancel,
    )
    if cancel is not None and cancel.cancelled:
        return None
    pair = RegisteredPair(fixed, moving, found, labels_f, labels_m, marks_f, marks_m)
    measures = pair.measures()
    write_pair(pair, out, measures=measures)
    return WrittenPair(measures, found.seconds)


def _keep_inputs(out: Path, files: PairFiles) -> None:
    """Refuse a folder in which an output would replace an input (InputError)."""
    written = {(out / name).resolve() for name in PAIR_FILES}
    for field in dataclasses.fields(files):
        path = getattr(files, field.name)
        if path is not None and path.resolve() in written:
            raise InputError(f"{path}: would be overwritten; choose another folder for the results")


def _landmarks_of(image: MedicalImage, path: Path) -> LandmarkSet:
    """The landmarks of one image in a file of one or many."""
    table = read_landmarks(path, geometries={image.name: image.geometry})
    try:
        name = find_image(image.name, table)
    except InputError as error:
        raise error.prefixed(path) from error
    if name is None:
        names = ", ".join(list(table)[:3])
        raise InputError(f"{path}: has no rows for {image.name} (it has {names or 'none at all'})")
    marks = table[name]
    try:
        check_axes(marks.values(), image.geometry, image=name)
    except InputError as error:
        raise error.prefixed(path) from error
    return marks
