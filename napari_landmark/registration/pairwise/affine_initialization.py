"""Where to start with a pair: an affine map found without any training, from any rotation if need be.

All maps here are phi(x) = c + matrix (x - c) + shift on a grid with centre c, from the fixed to the moving image.
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
from scipy.spatial.transform import Rotation

from napari_landmark.learning.interpolation import sample
from napari_landmark.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.registration.transform.fields_torch import affine_displacement, positions

_SEARCH_SIZE = {2: 48, 3: 24}  # longest side of the grid on which rotations are tried
_CANDIDATES = 6
_SAMPLES = 40_000  # pixels that the mutual information is taken from


@dataclass(frozen=True)
class AffineInitialization:
    """An affine map about the centre of a grid.

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
    """The affine map that makes two images on one grid most alike.

    Parameters
    ----------
    fixed, moving : arrays of one shape
        Values 0..1.
    scale : float
        Cells of the moving per cell of the fixed image, where the spacings tell.
    any_rotation : bool
        Try rotations all over the circle or the sphere; otherwise the images are taken to lie upright.

    Returns
    -------
    AffineInitialization
        The best by mutual information of all starts that were tried; after a cancel, of those tried so far.
    """
    started = time.monotonic()
    starts = [
        AffineInitialization(np.eye(fixed.ndim) * scale, np.zeros(fixed.ndim)),
        _by_moments(fixed, moving, scale),
    ]
    if any_rotation:
        starts = [*_by_rotations(fixed, moving, scale), starts[1]]
    best = (math.inf, starts[0])
    for number, start in enumerate(starts):
        if progress:
            passed = time.monotonic() - started
            # The last refinement, on a finer grid, takes about as long as four of those before.
            left = passed / number * (len(starts) + 4 - number) if number else None
            progress(ProgressEvent("finding the start", number / (len(starts) + 4), left))
        found = _refine(fixed, moving, start, downsampling=(4,) if any_rotation else (4, 2), cancel=cancel)
        best = min(best, found, key=lambda tried: tried[0])
        if cancel and cancel.cancelled:
            return best[1]
    return _refine(fixed, moving, best[1], downsampling=(2, 1), cancel=cancel)[1]


def _by_moments(fixed: NDArray, moving: NDArray, scale: float) -> AffineInitialization:
    """Centre of mass on centre of mass."""
    matrix = np.eye(fixed.ndim) * scale
    return AffineInitialization(matrix, _mass_centre(moving) - matrix @ _mass_centre(fixed))


def _mass_centre(image: NDArray) -> NDArray[np.float64]:
    """From the centre of the grid."""
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
    """The most promising of many rotations about the centres of mass, by correlation on a coarse grid."""
    downsampling = max(1, round(max(fixed.shape) / _SEARCH_SIZE[fixed.ndim]))
    small = [_shrunk(image, downsampling) for image in (fixed, moving)]
    centres = [_mass_centre(image) for image in (fixed, moving)]
    rotations = all_rotations(fixed.ndim)
    scores = []
    for chunk in np.array_split(rotations, math.ceil(len(rotations) / 64)):
        matrices = chunk * scale
        shifts = centres[1] - matrices @ centres[0]
        shown = _seen(small[1], matrices, shifts / downsampling)
        scores.append(_correlation(small[0], shown))
    order = torch.cat(scores).argsort(descending=True).tolist()
    chosen: list[NDArray] = []
    for index in order:  # the best, but not the same one many times
        if all(_angle(rotations[index], other) > 20 for other in chosen):
            chosen.append(rotations[index])
        if len(chosen) == _CANDIDATES:
            break
    return [AffineInitialization(turn * scale, centres[1] - turn @ centres[0] * scale) for turn in chosen]


def all_rotations(dims: int) -> NDArray[np.float64]:
    """(n, d, d) rotations no further than about 15 degrees from any other rotation."""
    if dims == 2:
        angles = np.radians(np.arange(0, 360, 15))
        return np.stack([[[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]] for a in angles])
    # Super-Fibonacci spirals (Alexa, CVPR 2022) spread rotations evenly.
    count, phi, psi = 2000, math.sqrt(2), 1.533751168755204288118041
    s = np.arange(count) + 0.5
    radius, other = np.sqrt(s / count), np.sqrt(1 - s / count)
    alpha, beta = 2 * np.pi * s / phi, 2 * np.pi * s / psi
    quaternions = np.stack(
        [radius * np.sin(alpha), radius * np.cos(alpha), other * np.sin(beta), other * np.cos(beta)], 1
    )
    return Rotation.from_quat(quaternions).as_matrix()


def _angle(first: NDArray, second: NDArray) -> float:
    cosine = (np.trace(first.T @ second) - (first.shape[0] - 2)) / 2
    return math.degrees(math.acos(float(np.clip(cosine, -1, 1))))


def _shrunk(image: NDArray, factor: int) -> torch.Tensor:
    pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[image.ndim]
    return pool(torch.from_numpy(np.ascontiguousarray(image))[None, None], factor)


def _seen(moving: torch.Tensor, matrices: NDArray, shifts: NDArray) -> torch.Tensor:
    shape = tuple(moving.shape[2:])
    displacement = affine_displacement(
        torch.from_numpy(matrices).float(), torch.from_numpy(shifts).float(), shape
    )
    return sample(moving.expand(len(matrices), *moving.shape[1:]), positions(displacement))


def _correlation(fixed: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    a = (fixed - fixed.mean()).flatten(1)
    b = shown.flatten(1)
    b = b - b.mean(1, keepdim=True)
    return (a * b).sum(1) / (a.norm() * b.norm(dim=1) + 1e-6)


def _refine(
    fixed: NDArray,
    moving: NDArray,
    start: AffineInitialization,
    *,
    downsampling: tuple[int, ...],
    cancel: CancelToken | None = None,
) -> tuple[float, AffineInitialization]:
    """Affine optimisation by SimpleITK; returns the metric (less is better) and the map."""
    dims = fixed.ndim
    centre = [(n - 1) / 2 for n in reversed(fixed.shape)]
    transform = sitk.AffineTransform(dims)
    transform.SetCenter(centre)
    transform.SetMatrix(start.matrix[::-1, ::-1].ravel().tolist())
    transform.SetTranslation(start.shift[::-1].tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    shares = [min(1.0, _SAMPLES / (fixed.size / factor**dims)) for factor in downsampling]
    if min(shares) < 1:
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentagePerLevel(shares, seed=1)  # without a seed it takes the clock
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
    except RuntimeError:  # nothing in common, or constant: the start is as good as anything
        return math.inf, start
    finally:
        method.RemoveAllCommands()  # the command holds the method, and the method the command
    found = AffineInitialization(
        np.reshape(transform.GetMatrix(), (dims, dims))[::-1, ::-1].copy(),
        np.asarray(transform.GetTranslation())[::-1].copy(),
    )
    value = method.GetMetricValue()
    growth = np.linalg.det(found.matrix) / np.linalg.det(start.matrix)
    if not (np.isfinite(found.matrix).all() and 0.1 < growth < 10):
        return math.inf, start
    return value, found
