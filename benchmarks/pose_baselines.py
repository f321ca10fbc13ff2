"""Affine registration of volumes in any rotation by other programs, from their own initialization: elastix and ANTs.

Each function takes template and volume, arrays on cells of one length, and returns the matrix (3, 3) and the offset
(3,) of x -> matrix @ x + offset from the template to the volume, in cells, [z, y, x].
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Affine = tuple[NDArray[np.float64], NDArray[np.float64]]
Array = NDArray[np.float32]

_SHRINK = 2  # poses need no finer cells, and programs are compared at their fastest
_LEVELS = 4  # of elastix's pyramid


def elastix(template: Array, volume: Array) -> Affine:
    """The default affine parameter map, initialized by the centres of mass."""
    import itk

    parameters = itk.ParameterObject.New()
    chosen = parameters.GetDefaultParameterMap("affine", _LEVELS)
    chosen["AutomaticTransformInitialization"] = ("true",)
    chosen["AutomaticTransformInitializationMethod"] = ("CenterOfGravity",)
    chosen["RandomSeed"] = ("121212",)
    chosen["WriteResultImage"] = ("false",)
    parameters.AddParameterMap(chosen)
    fixed, moving = (itk.image_from_array(shrink(array)) for array in (template, volume))
    _, found = itk.elastix_registration_method(
        fixed, moving, parameter_object=parameters, log_to_console=False, number_of_threads=1
    )
    values = np.array(found.GetParameter(0, "TransformParameters"), float)
    centre = np.array(found.GetParameter(0, "CenterOfRotationPoint"), float)
    return _in_cells(values[:9].reshape(3, 3), values[9:], centre)


def ants_affine(template: Array, volume: Array) -> Affine:
    """`ants.registration` to an affine map from the centres of mass, its default."""
    import ants

    fixed, moving = (ants.from_numpy(np.ascontiguousarray(shrink(array).T)) for array in (template, volume))
    found = ants.registration(fixed, moving, "Affine", random_seed=1)
    transform = ants.read_transform(found["fwdtransforms"][0])
    for path in {*found["fwdtransforms"], *found["invtransforms"]}:
        Path(path).unlink(missing_ok=True)
    values = np.asarray(transform.parameters, float)
    return _in_cells(values[:9].reshape(3, 3), values[9:], np.asarray(transform.fixed_parameters, float))


def shrink(array: Array) -> Array:
    """Averages over cubes; a rest at the far end of an axis is left out."""
    whole = array[tuple(slice(0, side // _SHRINK * _SHRINK) for side in array.shape)]
    sides = [part for side in whole.shape for part in (side // _SHRINK, _SHRINK)]
    return np.ascontiguousarray(whole.reshape(sides).mean((1, 3, 5), dtype=np.float32))


def _in_cells(
    matrix: NDArray[np.float64], translation: NDArray[np.float64], centre: NDArray[np.float64]
) -> Affine:
    """ITK's x -> matrix (x - centre) + centre + translation between shrunk volumes, for the volumes themselves."""
    offset = centre + translation - matrix @ centre
    turned = matrix[::-1, ::-1]
    first = (_SHRINK - 1) / 2  # centre of the first large cell, in cells
    return turned, _SHRINK * offset[::-1] + first - turned @ np.full(3, first)


_PROGRAMS: dict[str, tuple[str, Callable[[Array, Array], Affine]]] = {
    "elastix, from centres of mass": ("itk", elastix),
    "ANTs, from centres of mass": ("ants", ants_affine),
}


def installed() -> dict[str, Callable[[Array, Array], Affine]]:
    """Programs whose package is installed."""
    return {name: run for name, (module, run) in _PROGRAMS.items() if importlib.util.find_spec(module)}
