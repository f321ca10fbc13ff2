"""Diffeomorphic registration of volumes by other packages: ANTs SyN, greedy and dipy.

Each is an affine registration of its own package followed by the diffeomorphic one, with the settings that the package
recommends or defaults to. Functions take two SimpleITK images and return the displacement of each voxel of the first to
its position in the second one, (*shape, 3) in world units and array axis order.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

Field = NDArray[np.float32]


def ants_syn(fixed: sitk.Image, moving: sitk.Image, *, kind: str = "SyN") -> Field:
    """`ants.registration` with its defaults: affine, then SyN by mutual information, 40 and 20 steps at 4 and 2.

    Parameters
    ----------
    kind : str
        ``SyN``, or ``SyNCC`` for local correlation (Avants et al., 2008), in full resolution at the end.
    """
    import ants

    found = ants.registration(_for_ants(fixed, ants), _for_ants(moving, ants), kind, random_seed=1)
    warp, affine = found["fwdtransforms"]
    smooth = sitk.DisplacementFieldTransform(sitk.ReadImage(warp, sitk.sitkVectorFloat64))
    transform = sitk.CompositeTransform([sitk.ReadTransform(affine), smooth])
    field = _sampled(transform, fixed)
    for path in {*found["fwdtransforms"], *found["invtransforms"]}:
        Path(path).unlink(missing_ok=True)
    return field


def ants_syn_correlation(fixed: sitk.Image, moving: sitk.Image) -> Field:
    """`ants_syn` by local correlation."""
    return ants_syn(fixed, moving, kind="SyNCC")


def greedy(fixed: sitk.Image, moving: sitk.Image) -> Field:
    """Affine and greedy registration with local correlation, as usual for T1 MR, down to the full resolution."""
    from picsl_greedy import Greedy3D

    program = Greedy3D()
    threads = os.environ.get("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    common = f"-d 3 -threads {threads} -V 0" if threads else "-d 3 -V 0"
    program.execute(
        f"{common} -a -dof 12 -ia-image-centers -i fixed moving -o affine -n 100x50x10 -m NCC 4x4x4",
        fixed=fixed,
        moving=moving,
        affine=None,
    )
    program.execute(
        f"{common} -i fixed moving -it affine -o warp -n 100x50x10 -m NCC 2x2x2 -s 2vox 0.5vox", warp=None
    )
    program.execute(f"{common} -rf fixed -rc composed -r warp affine", composed=None)
    return _components(program["composed"])


def dipy_syn(fixed: sitk.Image, moving: sitk.Image) -> Field:
    """The affine registration of `dipy_align_affine` and the SyN of `dipy_align_syn` with their defaults.

    Affine by mutual information from the centres of mass, then symmetric diffeomorphic registration by local
    correlation, 10, 10 and 5 steps at 4, 2 and 1.
    """
    from dipy.align import affine_registration, syn_registration

    static, static_affine = _array(fixed), _index_to_world(fixed)
    other, other_affine = _array(moving), _index_to_world(moving)
    _, affine = affine_registration(
        other, static, moving_affine=other_affine, static_affine=static_affine, level_iters=[10000, 1000, 100]
    )
    _, mapping = syn_registration(
        other,
        static,
        moving_affine=other_affine,
        static_affine=static_affine,
        metric="CC",
        level_iters=[10, 10, 5],
        prealign=affine,
    )
    # A point x of the fixed image lies at affine (x + u(x)) of the moving one, u in world units.
    index = np.stack(np.meshgrid(*map(np.arange, static.shape), indexing="ij"), axis=-1)
    points = index @ static_affine[:3, :3].T + static_affine[:3, 3]
    found = (points + mapping.get_forward_field()) @ affine[:3, :3].T + affine[:3, 3] - points
    return found.transpose(2, 1, 0, 3)[..., ::-1].astype(np.float32)


def _index_to_world(image: sitk.Image) -> NDArray[np.float64]:
    """Homogeneous matrix from indices to world coordinates, axes x, y, z: (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return matrix


def _for_ants(image: sitk.Image, ants: object) -> object:
    return ants.from_numpy(  # type: ignore[attr-defined]
        _array(image),
        origin=list(image.GetOrigin()),
        spacing=list(image.GetSpacing()),
        direction=np.reshape(image.GetDirection(), (3, 3)),
    )


def _array(image: sitk.Image) -> NDArray[np.float64]:
    """Values with axes x, y, z."""
    return np.ascontiguousarray(sitk.GetArrayFromImage(image).astype(np.float64).T)


def _sampled(transform: sitk.Transform, fixed: sitk.Image) -> Field:
    """Displacement of every voxel."""
    return _components(
        sitk.TransformToDisplacementField(
            transform,
            sitk.sitkVectorFloat64,
            fixed.GetSize(),
            fixed.GetOrigin(),
            fixed.GetSpacing(),
            fixed.GetDirection(),
        )
    )


def _components(field: sitk.Image) -> Field:
    return sitk.GetArrayFromImage(field)[..., ::-1].astype(np.float32)


_MODULES = {"ants": "antspyx", "picsl_greedy": "picsl-greedy", "dipy": "dipy"}
PROGRAMS: dict[str, tuple[str, Callable[[sitk.Image, sitk.Image], Field]]] = {
    "ANTs SyN": ("ants", ants_syn),
    "ANTs SyN, correlation": ("ants", ants_syn_correlation),
    "greedy": ("picsl_greedy", greedy),
    "dipy SyN": ("dipy", dipy_syn),
}
"""By name: module that is needed, and function."""


def installed() -> dict[str, Callable[[sitk.Image, sitk.Image], Field]]:
    """Programs whose package is installed; says how to install the others."""
    for module, package in _MODULES.items():
        if importlib.util.find_spec(module) is None:
            print(f"{package} is left out: pip install {package}")
    return {
        name: run for name, (module, run) in PROGRAMS.items() if importlib.util.find_spec(module) is not None
    }
