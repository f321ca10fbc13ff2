"""Diffeomorphic registration of volumes by other packages: ANTs SyN, greedy, dipy SyN.

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

_MARGIN = 32  # voxels around the moving image in which positions are still known


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
    """dipy's tutorials: affine by mutual information, SyN by local correlation with 10, 10 and 5 steps."""
    from dipy.align.imaffine import AffineRegistration, MutualInformationMetric, transform_centers_of_mass
    from dipy.align.imwarp import SymmetricDiffeomorphicRegistration
    from dipy.align.metrics import CCMetric
    from dipy.align.transforms import AffineTransform3D, RigidTransform3D, TranslationTransform3D

    a, b = _array(fixed), _array(moving)
    grid_a, grid_b = _grid(fixed), _grid(moving)
    affine = transform_centers_of_mass(a, grid_a, b, grid_b)
    registration = AffineRegistration(
        metric=MutualInformationMetric(32, None),
        level_iters=[1000, 100, 10],
        sigmas=[3.0, 1.0, 0.0],
        factors=[4, 2, 1],
        verbosity=0,
    )
    for kind in (TranslationTransform3D(), RigidTransform3D(), AffineTransform3D()):
        affine = registration.optimize(a, b, kind, None, grid_a, grid_b, starting_affine=affine.affine)
    smooth = SymmetricDiffeomorphicRegistration(CCMetric(3), level_iters=[10, 10, 5])
    smooth.verbosity = 0
    mapping = smooth.optimize(
        a, b, static_grid2world=grid_a, moving_grid2world=grid_b, prealign=affine.affine
    )
    # Positions are warped as images are, three coordinates that go on around the moving image.
    index = np.indices([n + 2 * _MARGIN for n in b.shape], dtype=np.float64) - _MARGIN
    grid = grid_b.copy()
    grid[:3, 3] -= grid_b[:3, :3] @ np.full(3, _MARGIN)
    positions = [
        mapping.transform(
            np.tensordot(grid_b[axis, :3], index, 1) + grid_b[axis, 3], image_world2grid=np.linalg.inv(grid)
        )
        for axis in range(3)
    ]
    own = np.tensordot(grid_a[:3, :3], np.indices(a.shape), 1) + grid_a[:3, 3, None, None, None]
    # x, y, z components on axes x, y, z -> the reverse of both.
    return (np.stack(positions) - own).transpose(3, 2, 1, 0)[..., ::-1].astype(np.float32)


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


def _grid(image: sitk.Image) -> NDArray[np.float64]:
    """(4, 4) from index x, y, z to world."""
    grid = np.eye(4)
    grid[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    grid[:3, 3] = image.GetOrigin()
    return grid


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
