"""Registration without this package, to compare with: none, SimpleITK, elastix; for volumes ANTs, greedy, dipy.

Every function takes the fixed and the moving image as they were read, and returns the displacement of each pixel of the
fixed image to its position in the moving one: (*fixed.shape, ndim) in world units (mm; pixels where the spacing is not
known), in array axis order. Settings were chosen on pairs of training images, elastix's coarser grids on two of the
chest pairs.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Callable
from functools import partial

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from registration_diffeomorphic import installed
from registration_measures import on_pixels
from scipy.spatial.transform import Rotation

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.registration.pairwise.header_alignment import header_alignment

VERSION = 2  # of the settings: raised when they change, so that cached transforms are computed anew

Field = NDArray[np.float32]
Baseline = Callable[[MedicalImage, MedicalImage], Field]


def limit_threads(count: int) -> None:
    """Set the number of threads of ITK, in both its packages; to be called before the first elastix."""
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(count)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(count)


def nothing(fixed: MedicalImage, moving: MedicalImage) -> Field:
    """No registration: world coordinates of both images; corner to corner where a spacing is not known."""
    return on_pixels(header_alignment(fixed.geometry, moving.geometry)).displacement


def simpleitk(fixed: MedicalImage, moving: MedicalImage) -> Field:
    """Affine, then B-spline registration by mutual information, coarse to fine."""
    a, b = to_itk(fixed), to_itk(moving)
    return _simpleitk_from(a, b, _better_initialization(a, b))


def elastix(fixed: MedicalImage, moving: MedicalImage) -> Field:
    """The default parameter maps `affine` and `bspline` (with bending energy), eight control points along an image."""
    return _elastix(to_itk(fixed), to_itk(moving))


def elastix_finer(fixed: MedicalImage, moving: MedicalImage) -> Field:
    """The same with sixteen control points: fits details better, and folds more."""
    return _elastix(to_itk(fixed), to_itk(moving), grid=1 / 16)


def simpleitk_many_initializations(fixed: MedicalImage, moving: MedicalImage) -> Field:
    """`simpleitk` initialized with the best of many rigid transforms, for volumes in any rotation."""
    a, b = to_itk(fixed), to_itk(moving)
    initial = _best_rigid(a, b)
    affine = sitk.AffineTransform(initial.GetMatrix(), initial.GetTranslation(), initial.GetCenter())
    return _simpleitk_from(a, b, affine)


def from_best_rigid(register: Callable[[sitk.Image, sitk.Image], Field]) -> Baseline:
    """Initialize a registration of volumes in any rotation with the best of many rigid transforms.

    The initialization is written into the moving image's origin and direction, so that nothing is interpolated twice.
    """

    def initialized(fixed: MedicalImage, moving: MedicalImage) -> Field:
        a, b = to_itk(fixed), to_itk(moving)
        initial = _best_rigid(a, b)
        matrix = np.reshape(initial.GetMatrix(), (3, 3))
        offset = np.array(initial.TransformPoint((0.0, 0.0, 0.0)))
        b.SetOrigin((matrix.T @ (np.array(b.GetOrigin()) - offset)).tolist())
        b.SetDirection((matrix.T @ np.reshape(b.GetDirection(), (3, 3))).ravel().tolist())
        found = register(a, b)
        # x -> matrix (x + u) + offset, all in the array's order of axes instead of ITK's.
        matrix, offset = matrix[::-1, ::-1], offset[::-1]
        points = _pixel_positions(fixed.geometry)
        return ((points + found) @ matrix.T + offset - points).astype(np.float32)

    return initialized


def as_they_are(register: Callable[[sitk.Image, sitk.Image], Field]) -> Baseline:
    """Register in the world coordinates of both images."""
    return lambda fixed, moving: register(to_itk(fixed), to_itk(moving))


def rigid(fixed: sitk.Image, moving: sitk.Image) -> Field:
    """Nothing after the initialization."""
    return np.zeros((*fixed.GetSize()[::-1], fixed.GetDimension()), np.float32)


def to_itk(image: MedicalImage) -> sitk.Image:
    """The image for SimpleITK with spacing, origin and direction; spacing 1 where it is not known."""
    geometry = image.geometry
    converted = sitk.GetImageFromArray(np.ascontiguousarray(image.array, dtype=np.float32))
    if geometry.spacing is not None:
        converted.SetSpacing(geometry.spacing[::-1])
        converted.SetOrigin(geometry.origin[::-1])
        converted.SetDirection(np.asarray(geometry.direction)[::-1, ::-1].ravel().tolist())
    return converted


def _pixel_positions(geometry: Geometry) -> NDArray[np.float64]:
    """World positions of all pixels, (*shape, ndim)."""
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    known = geometry if geometry.has_spacing else Geometry(geometry.shape, (1.0,) * geometry.ndim)
    return known.to_world(index.reshape(-1, geometry.ndim)).reshape(index.shape)


# --- SimpleITK ------------------------------------------------------------------------------------------------------


def _better_initialization(fixed: sitk.Image, moving: sitk.Image) -> sitk.AffineTransform:
    """Alignment of the centres of the images or of their centres of mass, whichever fits better."""
    registration = _mutual_information(fixed)
    kinds = sitk.CenteredTransformInitializerFilter
    candidates = [
        sitk.AffineTransform(
            sitk.CenteredTransformInitializer(
                fixed, moving, sitk.AffineTransform(fixed.GetDimension()), getattr(kinds, kind)
            )
        )
        for kind in ("GEOMETRY", "MOMENTS")
    ]

    def misfit(initial: sitk.Transform) -> float:
        registration.SetInitialTransform(initial)
        return registration.MetricEvaluate(fixed, moving)

    return min(candidates, key=misfit)


def _mutual_information(fixed: sitk.Image) -> sitk.ImageRegistrationMethod:
    registration = sitk.ImageRegistrationMethod()
    registration.SetMetricAsMattesMutualInformation(50)
    registration.SetInterpolator(sitk.sitkLinear)
    pixels = math.prod(fixed.GetSize())
    samples = SIMPLEITK_SAMPLES[fixed.GetDimension()]
    if pixels > samples:
        registration.SetMetricSamplingStrategy(registration.RANDOM)
        registration.SetMetricSamplingPercentage(samples / pixels, 7)
    return registration


# By number of axes. Volumes take minutes even so.
SIMPLEITK_SAMPLES = {2: 100_000, 3: 50_000}
SIMPLEITK_MESH = {2: (4, 8, 16), 3: (4, 8)}
SIMPLEITK_ITERATIONS = {2: 100, 3: 20}


def _simpleitk_from(fixed: sitk.Image, moving: sitk.Image, initial: sitk.AffineTransform) -> Field:
    affine = sitk.AffineTransform(initial)
    registration = _mutual_information(fixed)
    registration.SetOptimizerAsGradientDescent(1.0, 200, 1e-6, 10, registration.EachIteration)
    registration.SetOptimizerScalesFromPhysicalShift()
    _from_coarse_to_fine(registration, (8, 4, 2, 1)[_levels_left_out(fixed) :])
    registration.SetInitialTransform(affine, inPlace=True)
    registration.Execute(fixed, moving)

    meshes = SIMPLEITK_MESH[fixed.GetDimension()]
    spline = sitk.BSplineTransformInitializer(fixed, _mesh(fixed, meshes[0]))
    registration = _mutual_information(fixed)
    registration.SetMovingInitialTransform(affine)
    registration.SetInitialTransformAsBSpline(
        spline, inPlace=True, scaleFactors=[mesh // meshes[0] for mesh in meshes]
    )
    registration.SetOptimizerAsLBFGS2(numberOfIterations=SIMPLEITK_ITERATIONS[fixed.GetDimension()])
    _from_coarse_to_fine(registration, (4, 2, 1)[-len(meshes) :])
    try:
        registration.Execute(fixed, moving)
    except RuntimeError as error:
        print("   SimpleITK's B-spline stopped:", str(error).strip().splitlines()[-1])
    return _sampled(sitk.CompositeTransform([affine, spline]), fixed)


def _levels_left_out(image: sitk.Image) -> int:
    """Coarse levels that would leave fewer than 24 pixels along the shortest side."""
    return sum(min(image.GetSize()) / factor < 24 for factor in (8, 4, 2))


def _from_coarse_to_fine(registration: sitk.ImageRegistrationMethod, factors: tuple[int, ...]) -> None:
    registration.SetShrinkFactorsPerLevel(list(factors))
    registration.SetSmoothingSigmasPerLevel([factor / 2 if factor > 1 else 0 for factor in factors])
    registration.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()


def _mesh(image: sitk.Image, along_longest: int) -> list[int]:
    extents = [size * step for size, step in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    return [max(1, round(along_longest * extent / max(extents))) for extent in extents]


def _sampled(transform: sitk.Transform, fixed: sitk.Image) -> Field:
    """Displacement of every pixel, in array axis order."""
    field = sitk.TransformToDisplacementField(
        transform,
        sitk.sitkVectorFloat64,
        fixed.GetSize(),
        fixed.GetOrigin(),
        fixed.GetSpacing(),
        fixed.GetDirection(),
    )
    return sitk.GetArrayFromImage(field)[..., ::-1].astype(np.float32)


# --- elastix --------------------------------------------------------------------------------------------------------

ELASTIX_GRID = 1 / 8  # final spacing of the control points, of the longest side
ELASTIX_SAMPLES = 4096
ELASTIX_ITERATIONS = 256


def _elastix(
    fixed: sitk.Image, moving: sitk.Image, *, grid: float = ELASTIX_GRID, align_centres: bool = True
) -> Field:
    import itk  # takes seconds to import

    a, b = _in_other_package(fixed, itk), _in_other_package(moving, itk)
    extent = max(size * step for size, step in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True))
    parameters = itk.ParameterObject.New()
    for map_ in (
        parameters.GetDefaultParameterMap("affine", 4),
        parameters.GetDefaultParameterMap("bspline", 4, extent * grid),
    ):
        map_["NumberOfSpatialSamples"] = (str(ELASTIX_SAMPLES),)
        map_["MaximumNumberOfIterations"] = (str(ELASTIX_ITERATIONS),)
        if "GridSpacingSchedule" in map_:
            map_["GridSpacingSchedule"] = ("8", "4", "2", "1")
        map_["RandomSeed"] = ("121212",)
        map_["WriteResultImage"] = ("false",)
        if map_["Transform"][0] == "AffineTransform" and align_centres:
            map_["AutomaticTransformInitialization"] = ("true",)
            map_["AutomaticTransformInitializationMethod"] = ("GeometricalCenter",)
        parameters.AddParameterMap(map_)
    threads = int(os.environ.get("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", os.cpu_count() or 1))
    _, found = itk.elastix_registration_method(
        a, b, parameter_object=parameters, log_to_console=False, number_of_threads=threads
    )
    # It also writes the field to a file in the current folder.
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        field = itk.transformix_deformation_field(b, found)
    return np.asarray(itk.array_view_from_image(field))[..., ::-1].astype(np.float32)


def _in_other_package(image: sitk.Image, itk: object) -> object:
    """The same image for the package `itk`."""
    converted = itk.image_from_array(sitk.GetArrayFromImage(image))  # type: ignore[attr-defined]
    dimension = image.GetDimension()
    converted.SetSpacing(image.GetSpacing())
    converted.SetOrigin(image.GetOrigin())
    converted.SetDirection(np.reshape(image.GetDirection(), (dimension, dimension)))
    return converted


# --- many rigid initializations for volumes -------------------------------------------------------------------------

ROTATIONS = 200
REFINED = 8


def _best_rigid(fixed: sitk.Image, moving: sitk.Image) -> sitk.Euler3DTransform:
    """The best of many rotations about the centres of mass, by correlation of downsampled images."""
    a, b = _small(fixed), _small(moving)
    centred = sitk.Euler3DTransform(
        sitk.CenteredTransformInitializer(
            a, b, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
        )
    )
    registration = sitk.ImageRegistrationMethod()
    registration.SetMetricAsCorrelation()
    registration.SetInterpolator(sitk.sitkLinear)
    registration.SetOptimizerAsRegularStepGradientDescent(1.0, 0.01, 60)
    registration.SetOptimizerScalesFromPhysicalShift()
    candidates = []
    for rotation in Rotation.random(ROTATIONS, random_state=0):
        initial = sitk.Euler3DTransform(centred)
        initial.SetMatrix(rotation.as_matrix().ravel().tolist(), 1e-6)
        registration.SetInitialTransform(initial)
        candidates.append((registration.MetricEvaluate(a, b), initial))
    candidates.sort(key=lambda pair: pair[0])
    refined = []
    for _, initial in candidates[:REFINED]:
        registration.SetInitialTransform(initial, inPlace=True)
        registration.Execute(a, b)
        refined.append((registration.GetMetricValue(), initial))
    return min(refined, key=lambda pair: pair[0])[1]


def _small(image: sitk.Image) -> sitk.Image:
    """A smoothed copy with about 40 pixels along each side."""
    factors = [max(1, round(size / 40)) for size in image.GetSize()]
    smooth = sitk.SmoothingRecursiveGaussian(
        image, [factor * step / 2 for factor, step in zip(factors, image.GetSpacing(), strict=True)]
    )
    return sitk.Shrink(smooth, factors)


BASELINES: dict[str, Baseline] = {
    "identity": nothing,
    "SimpleITK": simpleitk,
    "elastix": elastix,
    "elastix, finer grid": elastix_finer,
}


def volume_baselines() -> dict[str, Baseline]:
    """Further programs for volumes, as far as they are installed."""
    return {name: as_they_are(register) for name, register in installed().items()}


def many_initializations() -> dict[str, Baseline]:
    """For volumes in any rotation."""
    others = {f"{name}, many initializations": from_best_rigid(run) for name, run in installed().items()}
    return {
        "best of many rigid initializations": from_best_rigid(rigid),
        "SimpleITK, many initializations": simpleitk_many_initializations,
        "elastix, many initializations": from_best_rigid(partial(_elastix, align_centres=False)),
        "elastix, finer grid, many initializations": from_best_rigid(
            partial(_elastix, grid=1 / 16, align_centres=False)
        ),
        **others,
    }
