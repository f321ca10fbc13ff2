"""Opening a study, or making one from a folder of images or from what is open in the viewer."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Points

from napari_landmark.data.cohort import DEFAULT_WORKING_SIZE, Cohort
from napari_landmark.data.errors import InputError
from napari_landmark.data.image import looks_like_image
from napari_landmark.data.landmarks import Landmark, LandmarkSchema, LandmarkSet, Status
from napari_landmark.data.study import Study
from napari_landmark.gui.jobs import Job
from napari_landmark.gui.places import geometry_of, points_between
from napari_landmark.gui.preferences import Preferences
from napari_landmark.gui.session import Session
from napari_landmark.gui.stage import METADATA, source_file
from napari_landmark.learning.progress import CancelToken, Progress, ProgressEvent

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """A study with the images it is about."""

    study: Study
    cohort: Cohort


class _Stopped(Exception):
    """A person cancelled the reading of images."""


def gather(
    study: Study,
    preferences: Preferences,
    *,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Cohort:
    """The images of a study, drawn at working resolution.

    Raises
    ------
    InputError
        The study does not say where its images are, or none can be used.
    """
    if study.images is None:
        raise InputError(
            f"{study.folder}: does not say where its images are: make a new study from the folder"
        )

    if not study.images.is_dir():
        places = " nor ".join(str(place) for place in study.places_of_images)
        raise InputError(
            f"{study.folder}: its images are not in {places}; put them back, or name their new place with: "
            f"napari-landmark train --out {study.folder} --images DIR"
        )

    def report(done: int, total: int) -> None:
        if cancel is not None and cancel.cancelled:
            raise _Stopped
        if progress is not None:
            progress(ProgressEvent("Reading images", done / max(1, total), step=done))

    return Cohort.from_folder(
        study.images,
        spacing=study.spacing,
        working_size=_asked_for(preferences.working_size),
        cache_dir=preferences.cache,
        extra=study.extra,
        progress=report,
    )


def _asked_for(working_size: int) -> int | None:
    """A size that the person chose; None lets pictures and volumes each have their own."""
    return None if working_size == DEFAULT_WORKING_SIZE[2] else working_size


def open_job(
    session: Session,
    folder: Path,
    *,
    create: dict[str, Any] | None = None,
    image: str = "",
    adding: bool = False,
    preferences: Preferences | None = None,
    starting: dict[str, LandmarkSet] | None = None,
) -> Job:
    """Long work that opens a study and shows it.

    Parameters
    ----------
    folder : Path
        Of the study.
    create : dict, optional
        Keyword arguments of `Study.create`; the study is made only once its images could be read.
    image : str, optional
        Which image to show first.
    adding : bool, optional
        Whether clicks define new landmarks.
    starting : dict of str to LandmarkSet, optional
        Annotations to begin with, by image.
    """
    preferences = preferences or Preferences.read()

    def work(progress: Progress, cancel: CancelToken) -> Opened | None:
        try:
            if create is None:
                study = Study.open(folder)
                return Opened(study, gather(study, preferences, progress=progress, cancel=cancel))
            # Tried on a study that is not written: a folder without images must not leave half a study.
            images = create["images"]
            if not Path(images).is_dir():
                raise InputError(f"{images}: there is no such folder of images")
            planned = _Planned(Path(images), create.get("spacing"), folder)
            cohort = gather(planned, preferences, progress=progress, cancel=cancel)  # type: ignore[arg-type]
            study = Study.create(folder, **create)
            for name, marks in (starting or {}).items():
                if name in cohort.names:
                    study.save_annotations(name, marks, cohort.geometry(cohort.index(name)))
                    study.update(template=study.template or name)
            return Opened(study, cohort)
        except _Stopped:
            return None

    job = Job("Reading images", work)

    def show(opened: Opened | None) -> None:
        if opened is None:
            session.message.emit("info", "Reading was cancelled; what was read is kept for the next time.")
            return
        session.attempt(lambda: session.open(opened.study, opened.cohort, image=image, adding=adding))
        tell_problems(session, opened.cohort)

    job.succeeded.connect(show)
    job.failed.connect(lambda text: session.message.emit("error", text))
    return job


def regather_job(session: Session, *, preferences: Preferences | None = None) -> Job:
    """Long work that reads the images of the open study again, after its spacing or resolution changed."""
    assert session.study is not None
    return open_job(
        session, session.study.folder, image=session.image, adding=session.adding, preferences=preferences
    )


def tell_problems(session: Session, cohort: Cohort) -> None:
    """Say which files are left out, the first few by name."""
    if not cohort.problems:
        return
    first = "; ".join(f"{problem.name} {problem.reason}" for problem in cohort.problems[:3])
    more = f"; and {len(cohort.problems) - 3} more" if len(cohort.problems) > 3 else ""
    count = len(cohort.problems)
    session.message.emit("warning", f"{count} file{'s' * (count > 1)} left out: {first}{more}")


@dataclass(frozen=True)
class _Planned:
    """What `gather` needs of a study that is not made yet."""

    images: Path
    spacing: Any
    folder: Path
    extra: tuple[Path, ...] = ()


@dataclass(frozen=True)
class OpenImages:
    """What is open in a viewer and could become a study.

    Parameters
    ----------
    layers : list of Image
        Pictures or volumes, of one number of dimensions.
    folder : Path or None
        The folder that the first one came from, where the same pixels can be read again.
    first : str
        Name of its file.
    preset : str
        The set of landmarks that belongs to it, where it says so.
    """

    layers: list[Image]
    folder: Path | None
    first: str
    preset: str = ""


def open_images(viewer: ViewerModel) -> OpenImages | None:
    """The images open in a viewer, None where there are none."""
    layers = [layer for layer in viewer.layers if isinstance(layer, Image) and not layer.multiscale]
    layers = [layer for layer in layers if layer.ndim in (2, 3) and layer.visible]
    if not layers:
        return None
    first = layers[0]
    own = first.metadata.get(METADATA, {})
    path = Path(source_file(first)) if source_file(first) else None
    if path is None or not path.is_file() or not looks_like_image(path) or not _same_pixels(first, path):
        return OpenImages(layers, None, first.name)
    return OpenImages(layers, path.parent, path.name, own.get("preset", ""))


def export_layers(layers: list[Image], folder: Path) -> list[str]:
    """Write layers as image files, as they lie in the viewer; returns the names.

    For images that no file of a known kind holds, or that another reader turned or mirrored: what is
    annotated is what was seen.
    """
    import SimpleITK as sitk

    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for layer in layers:
        array = _storable(_luminance(layer))
        geometry = geometry_of(layer)
        image = sitk.GetImageFromArray(array)
        if geometry.spacing is not None:
            image.SetSpacing(geometry.spacing[::-1])
            image.SetOrigin(geometry.origin[::-1])
            direction = np.asarray(geometry.direction)[::-1, ::-1]
            image.SetDirection(direction.ravel().tolist())
        suffix = ".nrrd" if geometry.spacing is not None or array.ndim == 3 else ".tif"
        stem = (
            "".join(sign if sign.isalnum() or sign in "-_ ." else "_" for sign in layer.name).strip()
            or "image"
        )
        name, number = f"{stem}{suffix}", 2
        while name in names or (folder / name).exists():
            name, number = f"{stem}_{number}{suffix}", number + 1
        sitk.WriteImage(image, str(folder / name), useCompression=True)
        names.append(name)
    return names


def points_on(viewer: ViewerModel, image: Image, schema: LandmarkSchema) -> LandmarkSet | None:
    """Named points that are open in the viewer, as landmarks of an image layer; None where there are none.

    Points come from any reader; their world coordinates decide where they lie.
    """
    for layer in viewer.layers:
        if (
            isinstance(layer, Points)
            and layer.ndim == image.ndim
            and "name" in layer.features
            and len(layer.data)
        ):
            names = [str(name) for name in layer.features["name"]]
            positions = points_between(layer, image)
            marks = {
                name: Landmark(name, tuple(position), Status.PLACED)
                for name, position in zip(names, positions, strict=True)
                if name in schema
            }
            if marks:
                return LandmarkSet(schema, marks.values())
    return None


def names_of_points(viewer: ViewerModel) -> tuple[str, ...]:
    """Names of the first named points open in the viewer, in order."""
    for layer in viewer.layers:
        if isinstance(layer, Points) and "name" in layer.features and len(layer.data):
            return tuple(dict.fromkeys(str(name) for name in layer.features["name"]))
    return ()


def _same_pixels(layer: Image, path: Path) -> bool:
    """Whether this program reads the same grid from the file that the layer shows."""
    from napari_landmark.data.image import read_image

    try:
        array = read_image(path).array
    except InputError:
        return False
    return array.shape == tuple(layer.data.shape[: layer.ndim]) and bool(
        np.allclose(np.asarray(array, dtype=float), np.asarray(_luminance(layer), dtype=float), atol=2)
    )


def _storable(array: np.ndarray) -> np.ndarray:
    """The array in a type that image files have."""
    kinds = {"b": np.uint8, "e": np.float32, "l": np.int32, "q": np.int32, "L": np.uint32, "Q": np.uint32}
    return np.ascontiguousarray(array, dtype=kinds.get(array.dtype.char, array.dtype))


def _luminance(layer: Image) -> np.ndarray:
    array = np.asarray(layer.data)
    if layer.rgb:
        weights = np.array([0.299, 0.587, 0.114])
        array = np.round(array[..., :3] @ weights).astype(array.dtype)
    return array
