"""Affine initialization of a pair by mutual information, optionally from any rotation.

All maps are phi(x) = c + matrix (x - c) + shift on a grid with centre c, from the fixed to the moving image.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from napari_landmark.learning.interpolation import sample
from napari_landmark.learning.rotations import all_rotations, rotation_angle
from napari_landmark.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.registration.transform.fields_torch import affine_displacement, positions

_SEARCH_SIZE = {2: 48, 3: 24}  # longest side of the grid on which rotations are tried
_CANDIDATES = 6
_SAMPLES = 40_000  # pixels that the mutual information is computed from


@dataclass(frozen=True)
class AffineInitialization:
    """Affine map about the centre of a grid.

    Parameters
    ----------
    matrix : (d, d) array
    shift : (d,) array
        In cells of the grid.
    """

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]


def initialize_affine(
    fixed: NDArray[np.float32],
    moving: NDArray[np.float32],
    *,
    scale: float = 1.0,
    any_rotation: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> AffineInitialization:
    """Find the affine map between two images on one grid by mutual information.

    Parameters
    ----------
    fixed, moving : arrays of one shape
        Values 0..1.
    scale : float
        Cells of the moving per cell of the fixed image, if the spacings are known.
    any_rotation : bool
        Search rotations over the whole circle or sphere; otherwise the images are assumed to be upright.

    Returns
    -------
    AffineInitialization
        The best of all candidates after refinement; after a cancel, of those refined so far.
    """
    started = time.monotonic()
    candidates = [
        AffineInitialization(np.eye(fixed.ndim) * scale, np.zeros(fixed.ndim)),
        _by_moments(fixed, moving, scale),
    ]
    if any_rotation:
        candidates = [*_by_rotations(fixed, moving, scale), candidates[1]]
    best = (math.inf, candidates[0])
    for number, candidate in enumerate(candidates):
        if progress:
            passed = time.monotonic() - started
            # The last refinement, on a finer grid, takes about as long as four of those before.
            left = passed / number * (len(candidates) + 4 - number) if number else None
            progress(ProgressEvent("initializing", number / (len(candidates) + 4), left))
        refined = _refine(
            fixed, moving, candidate, downsampling=(4,) if any_rotation else (4, 2), cancel=cancel
        )
        best = min(best, refined, key=lambda result: result[0])
        if cancel and cancel.cancelled:
            return best[1]
    return _refine(fixed, moving, best[1], downsampling=(2, 1), cancel=cancel)[1]


def _by_moments(fixed: NDArray, moving: NDArray, scale: float) -> AffineInitialization:
    """Candidate that aligns the centres of mass."""
    matrix = np.eye(fixed.ndim) * scale
    return AffineInitialization(matrix, _mass_centre(moving) - matrix @ _mass_centre(fixed))


def _mass_centre(image: NDArray) -> NDArray[np.float64]:
    """Centre of mass (d,) relative to the centre of the grid."""
    mass = np.maximum(image.astype(np.float64) - np.median(image), 0)
    if mass.sum() <= 0:
        return np.zeros(image.ndim)
    axes = [np.arange(n) - (n - 1) / 2 for n in image.shape]
    return np.array(
        [
            np.tensordot(mass.sum(tuple(i for i in range(image.ndim) if i != axis)), values, 1) / mass.sum()
            for axis, values in enumerate(axes)
        ]
    )


@torch.no_grad()
def _by_rotations(fixed: NDArray, moving: NDArray, scale: float) -> list[AffineInitialization]:
    """Candidates of the highest correlation on a coarse grid, of many rotations about the centres of mass."""
    downsampling = max(1, round(max(fixed.shape) / _SEARCH_SIZE[fixed.ndim]))
    small = [_downsample(image, downsampling) for image in (fixed, moving)]
    centres = [_mass_centre(image) for image in (fixed, moving)]
    rotations = all_rotations(fixed.ndim)
    scores = []
    for chunk in np.array_split(rotations, math.ceil(len(rotations) / 64)):
        matrices = chunk * scale
        shifts = centres[1] - matrices @ centres[0]
        warped = _warped(small[1], matrices, shifts / downsampling)
        scores.append(_correlation(small[0], warped))
    order = torch.cat(scores).argsort(descending=True).tolist()
    chosen: list[NDArray] = []
    for index in order:  # the best that differ from each other
        if all(rotation_angle(rotations[index], other) > 20 for other in chosen):
            chosen.append(rotations[index])
        if len(chosen) == _CANDIDATES:
            break
    return [
        AffineInitialization(rotation * scale, centres[1] - rotation @ centres[0] * scale)
        for rotation in chosen
    ]


def _downsample(image: NDArray, factor: int) -> torch.Tensor:
    pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[image.ndim]
    return pool(torch.from_numpy(np.ascontiguousarray(image))[None, None], factor)


def _warped(moving: torch.Tensor, matrices: NDArray, shifts: NDArray) -> torch.Tensor:
    shape = tuple(moving.shape[2:])
    displacement = affine_displacement(
        torch.from_numpy(matrices).float(), torch.from_numpy(shifts).float(), shape
    )
    return sample(moving.expand(len(matrices), *moving.shape[1:]), positions(displacement))


def _correlation(fixed: torch.Tensor, warped: torch.Tensor) -> torch.Tensor:
    """(n,) Pearson correlation of one fixed image with each of n warped images."""
    a = (fixed - fixed.mean()).flatten(1)
    b = warped.flatten(1)
    b = b - b.mean(1, keepdim=True)
    return (a * b).sum(1) / (a.norm() * b.norm(dim=1) + 1e-6)


def _refine(
    fixed: NDArray,
    moving: NDArray,
    initial: AffineInitialization,
    *,
    downsampling: tuple[int, ...],
    cancel: CancelToken | None = None,
) -> tuple[float, AffineInitialization]:
    """Optimize an affine map with SimpleITK; returns the metric (less is better) and the map."""
    dims = fixed.ndim
    centre = [(n - 1) / 2 for n in reversed(fixed.shape)]
    transform = sitk.AffineTransform(dims)
    transform.SetCenter(centre)
    transform.SetMatrix(initial.matrix[::-1, ::-1].ravel().tolist())
    transform.SetTranslation(initial.shift[::-1].tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    shares = [min(1.0, _SAMPLES / (fixed.size / factor**dims)) for factor in downsampling]
    if min(shares) < 1:
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentagePerLevel(shares, seed=1)  # the default seed is the clock
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 100, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(list(downsampling))
    method.SetSmoothingSigmasPerLevel([factor / 2 for factor in downsampling])
    method.SetInitialTransform(transform, inPlace=True)
    if cancel:
        method.AddCommand(
            sitk.sitkIterationEvent, lambda: method.StopRegistration() if cancel.cancelled else None
        )
    images = [sitk.GetImageFromArray(np.ascontiguousarray(image)) for image in (fixed, moving)]
    try:
        method.Execute(*images)
    except RuntimeError:  # no overlap, or a constant image: nothing to optimize
        return math.inf, initial
    finally:
        method.RemoveAllCommands()  # the command refers to the method, and the method to the command
    found = AffineInitialization(
        np.reshape(transform.GetMatrix(), (dims, dims))[::-1, ::-1].copy(),
        np.asarray(transform.GetTranslation())[::-1].copy(),
    )
    value = method.GetMetricValue()
    growth = np.linalg.det(found.matrix) / np.linalg.det(initial.matrix)
    if not (np.isfinite(found.matrix).all() and 0.1 < growth < 10):
        return math.inf, initial
    return value, found
