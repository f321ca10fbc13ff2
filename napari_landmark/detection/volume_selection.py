"""Suggestion of the volumes of a cohort that are best annotated, from the unlabelled volumes alone.

A volume is aligned with all others, in any pose, which gives the same points in each of them. Templates are the medoids
of their shapes (k-means templates of MALPACA: Zhang et al., PLoS ONE 2022), of which an affine map is left out: the
alignment with a template finds that first. Whatever resembles the others in no pose is no candidate.

Imported without torch, which the functions import when they are called.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from napari_landmark.data.cohort.isotropic_grid import isotropic_transform, smallest_cell
from napari_landmark.data.cohort.working_grid import resample
from napari_landmark.data.errors import InputError, UnknownSpacingError
from napari_landmark.detection.suggestion import Suggestion
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

if TYPE_CHECKING:
    import torch

    from napari_landmark.data.cohort.cohort import Cohort
    from napari_landmark.detection.volumes.alignment import Deformation
    from napari_landmark.detection.volumes.atlas import Atlas
    from napari_landmark.detection.volumes.pyramid import Pyramid

_VOLUMES = 60  # aligned: more are more of the same
_REFERENCES, _COMPARED = 3, 4  # the reference is the one of three that resembles four others most
_LEVELS = 2  # resolutions: the finest tells little of a shape
_LEAST_ALIGNED = 3


def suggest_volumes(
    cohort: Cohort,
    *,
    count: int,
    minutes: float,
    seed: int = 0,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> list[Suggestion]:
    """Choose the volumes whose shapes represent those of a cohort together, the most representative first.

    Parameters
    ----------
    cohort : Cohort
        Of volumes, at least two; of a large one a random part is aligned.
    count : int
    minutes : float
        After which no further volume is aligned, but at least three are; each takes seconds.
    seed : int, optional
        Of the random part.

    Returns
    -------
    list of Suggestion
        The score of a volume is 1 / (1 + d / t): d is the mean distance of its shape from all others, t the mean
        distance of two volumes.

    Raises
    ------
    InputError
        Cancelled before three volumes were aligned; or their spacings are known for some only.
    """
    import torch

    from napari_landmark.detection.volumes.medoids import medoids
    from napari_landmark.detection.volumes.shape_distances import shape_distances
    from napari_landmark.learning.sampler import random_indices
    from napari_landmark.learning.threads import thread_limit

    generator = torch.Generator().manual_seed(seed)
    numbers = random_indices(len(cohort), min(_VOLUMES, len(cohort)), generator)
    with torch.no_grad(), thread_limit():
        aligned = _aligned(cohort, numbers, minutes=minutes, progress=progress, cancel=cancel)
    if cancel and cancel.cancelled and len(aligned) < min(_LEAST_ALIGNED, len(numbers)):
        raise InputError("stopped before three volumes were aligned: there is nothing to suggest")
    numbers = list(aligned)
    distances = shape_distances(torch.stack(list(aligned.values()))).numpy()
    typical = max(distances.sum() / max(len(numbers) * (len(numbers) - 1), 1), 1e-9)
    mean = distances.sum(1) / max(len(numbers) - 1, 1)
    return [
        Suggestion(cohort.names[numbers[member]], float(1 / (1 + mean[member] / typical)))
        for member in medoids(distances, count)
    ]


def _aligned(
    cohort: Cohort,
    numbers: list[int],
    *,
    minutes: float,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> dict[int, torch.Tensor]:
    """Shapes (m, 3) by number: of a reference, and of the volumes that it was aligned with in a pose that was found."""
    from napari_landmark.detection.model.volume_model import LEAST_AGREEMENT
    from napari_landmark.detection.volumes.alignment import deform

    started = time.monotonic()
    cell = _common_cell(cohort, numbers)

    def load(number: int) -> Pyramid:
        return _on_cells(cohort, number, cell)

    def cancelled() -> bool:
        return bool(cancel and cancel.cancelled)

    reference, atlas = _reference(numbers, load, cancelled)
    found: dict[int, Deformation] = {}
    others = [number for number in numbers if number != reference]
    for number in others:
        late = time.monotonic() - started > 60 * minutes and len(found) >= _LEAST_ALIGNED
        if late or cancelled():
            break
        found[number] = deform(atlas, load(number), levels=_LEVELS)
        if progress:
            progress(ProgressEvent("aligning volumes", len(found) / len(others)))
    usual = np.median([one.agreement for one in found.values()]) if found else 0.0
    shapes = {number: one.points for number, one in found.items() if one.agreement >= LEAST_AGREEMENT * usual}
    return {reference: atlas.points, **shapes}


def _reference(
    numbers: list[int], load: Callable[[int], Pyramid], cancelled: Callable[[], bool]
) -> tuple[int, Atlas]:
    """Number and atlas of the volume, of the first few, that the others of these resemble most."""
    import torch

    from napari_landmark.detection.volumes.alignment import find_pose
    from napari_landmark.detection.volumes.atlas import Atlas

    nothing = torch.zeros(0, 3)
    atlases = {n: Atlas.from_annotation(load(n), nothing) for n in numbers[:_REFERENCES]}
    agreement: dict[int, list[float]] = {number: [] for number in atlases}
    for other in numbers[: _COMPARED + 1]:
        if cancelled():
            break
        target = load(other)
        for number, atlas in atlases.items():
            if number != other:
                agreement[number].append(float(find_pose(atlas, target).correlation[0]))
    best = max(atlases, key=lambda number: np.median(agreement[number] or [0.0]))
    return best, atlases[best]


def _common_cell(cohort: Cohort, numbers: list[int]) -> float:
    """Length of the cells of all volumes: the median of those that resolve each.

    Raises
    ------
    UnknownSpacingError
        The spacing of some is not known.
    """
    geometries = [cohort.geometry(number) for number in numbers]
    known = [geometry.has_spacing for geometry in geometries]
    if any(known) and not all(known):
        name = cohort.names[numbers[known.index(False)]]
        raise UnknownSpacingError(f"{name}: its spacing is not known, that of other volumes is")
    return float(np.median([smallest_cell(geometry) for geometry in geometries]))


def _on_cells(cohort: Cohort, number: int, cell: float) -> Pyramid:
    from napari_landmark.detection.volumes.pyramid import Pyramid

    image = cohort.read(number)
    return Pyramid(resample(image, isotropic_transform(image.geometry, cell)), cell)
