"""What is sent to another machine: pixels and landmarks under numbers, without the headers and names of the files.

By default all pixels are sent, since poses, borders and the refinement on native pixels read them: the model is the
same to the byte as that of a training here. Reduced images are those of the working grid, a megabyte each at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_landmark.backend.hosts import Host
from napari_landmark.backend.job_file import write_job
from napari_landmark.backend.job_folder import IMAGES, STUDY
from napari_landmark.backend.job_record import JobRecord, Step, new_record
from napari_landmark.backend.jobs.detect import DetectJob
from napari_landmark.backend.jobs.train import TrainJob
from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.working_grid import CanvasTransform
from napari_landmark.data.errors import ErrorCode, InputError
from napari_landmark.data.files.json_file import read_json_object, write_json_object
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage
from napari_landmark.data.images.nrrd import write_nrrd
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.study.study import Study
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

if TYPE_CHECKING:
    from napari_landmark.detection.inference.detect import ImageReference

LARGEST_WITHOUT_ASKING = 2 * 1024**3
"""Bytes that are sent without asking."""

_NAMES = "names.json"
_BYTES_PER_PIXEL = 2
_GREY_VALUES = 65_535


@dataclass(frozen=True)
class SentNames:
    """Names of images here by their names on another machine.

    Parameters
    ----------
    names : mapping of str to str
    reduced : bool
        Whether the images were sent as they are on the working grid.
    canvas : tuple of int
        Shape of the working grid; empty for a detection.
    """

    names: Mapping[str, str]
    reduced: bool = False
    canvas: tuple[int, ...] = ()

    def save(self, record: JobRecord) -> None:
        """Keep the names here; they are not sent."""
        values = {"names": dict(self.names), "reduced": self.reduced, "canvas": list(self.canvas)}
        write_json_object(record.path / _NAMES, values, indent=None)

    @classmethod
    def read(cls, record: JobRecord) -> SentNames:
        """The names of a job; InputError where they are gone or damaged."""
        path = record.path / _NAMES
        try:
            content = read_json_object(path)
            names, canvas = content["names"], tuple(int(side) for side in content["canvas"])
            if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
                raise TypeError("names that are no texts")
            return cls(names, content["reduced"] is True, canvas)
        except (OSError, LookupError, TypeError, ValueError) as error:
            raise InputError(f"{path}: cannot be used ({error}); remove the job") from error


def number_name(number: int) -> str:
    """Name under which an image is sent; in the order of the numbers also by name.

    Examples
    --------
    >>> number_name(7)
    '0000007.nrrd'
    """
    return f"{number:07d}.nrrd"


def bytes_to_send(cohort: Cohort, *, reduced: bool = False) -> int:
    """Estimate of the bytes of the images of a cohort, from their shapes."""
    shapes = [cohort.canvas if reduced else cohort.geometry(k).shape for k in range(len(cohort))]
    return sum(math.prod(shape) * _BYTES_PER_PIXEL for shape in shapes)


def prepare_training(
    study: Study,
    cohort: Cohort,
    job: TrainJob,
    host: Host,
    *,
    reduced: bool = False,
    confirmed: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> JobRecord:
    """Prepare a training on another machine; the record is ready to be sent.

    Parameters
    ----------
    study, cohort
        As for a training here.
    job : TrainJob
        Options of the training; its paths are replaced.
    host : Host
    reduced : bool
        Send the images as they are on the working grid.
    confirmed : bool
        Send more than `LARGEST_WITHOUT_ASKING`, too.

    Raises
    ------
    Cancelled
    InputError
        There is too much to send without being asked, with `ErrorCode.MUCH_TO_SEND`; or an image cannot be read.
    """
    there = host.path_there(cohort.folder)
    outside = any(not path.resolve().is_relative_to(cohort.folder.resolve()) for path in cohort.paths)
    if there is not None and not outside:
        names, images = {name: name for name in cohort.names}, Path(there)
    else:
        names, images = {number_name(k): name for k, name in enumerate(cohort.names)}, Path(IMAGES)
        size = bytes_to_send(cohort, reduced=reduced)
        if size > LARGEST_WITHOUT_ASKING and not confirmed:
            raise _much(size)
    sent = SentNames(names, reduced and images == Path(IMAGES), cohort.canvas)
    record = new_record(job.KIND, host=host.name, about={"study": str(study.folder.absolute())})
    try:
        if images == Path(IMAGES):

            def image(number: int) -> MedicalImage:
                return _reduced(cohort, number) if reduced else cohort.read(number)

            _write_images(record.folder / IMAGES, len(cohort), image, progress, cancel)
        sent.save(record)
        _copy_study(study, cohort, record.folder / STUDY, sent)
        same_files = images != Path(IMAGES)
        fingerprint = cohort.fingerprint(progress=progress, cancel=cancel) if same_files else None
        write_job(record.folder, replace(job, study=Path(STUDY), images=images, fingerprint=fingerprint))
    except BaseException:
        record.remove()
        raise
    return record.at(Step.READY)


def prepare_detection(
    study: Study,
    model_folder: Path,
    references: list[ImageReference],
    host: Host,
    *,
    device: str,
    spacing: Any = None,
    confirmed: bool = False,
    about: Mapping[str, Any],
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> JobRecord:
    """Prepare a detection on another machine: the model without names of images, and all pixels.

    Parameters
    ----------
    model_folder : Path
        Of a model of the study.
    references : list of ImageReference
        Images that can be read.
    spacing : float, optional
        Millimetres per pixel instead of the files' own.
    about : mapping
        Plain values that whoever takes the results over needs.

    Raises
    ------
    Cancelled
    InputError
        As `prepare_training`.
    """
    from napari_landmark.detection.inference.detect import read_reference
    from napari_landmark.detection.model.store import load_model

    model = load_model(study, name=model_folder.name, device="cpu")
    names = {number_name(k): reference.name for k, reference in enumerate(references)}
    record = new_record(DetectJob.KIND, host=host.name, about=about)
    try:
        SentNames(names).save(record)
        copy = Study.create(record.folder / STUDY, schema=model.schema)
        save_without_names(model, copy.models_dir / "001")

        def image(number: int) -> MedicalImage:
            return read_reference(references[number], spacing, study.spacing)

        total = _write_images(
            record.folder / IMAGES, len(references), image, progress, cancel, confirmed=confirmed
        )
        if total > LARGEST_WITHOUT_ASKING and not confirmed:
            raise _much(total)
        job = DetectJob(
            study=Path(STUDY),
            images=Path(IMAGES),
            out=Path("found.csv"),
            model="001",
            device=device,
            journal_only=True,
        )
        write_job(record.folder, job)
    except BaseException:
        record.remove()
        raise
    return record.at(Step.READY)


def save_without_names(model: Any, folder: Path) -> None:
    """Write a model whose files name no image."""
    from napari_landmark.detection.model.landmark_model import LandmarkModel
    from napari_landmark.detection.model.serialization import save_model
    from napari_landmark.detection.model.volume_model_files import save_volume_model

    folder.mkdir(parents=True)
    poses, record = getattr(model, "poses", None), model.record
    try:
        model.record = {"complete": True}
        if isinstance(model, LandmarkModel):
            model.poses = {}
            save_model(model, folder)
        else:
            save_volume_model(model, folder)
    finally:
        model.record = record
        if isinstance(model, LandmarkModel):
            model.poses = poses or {}


def to_working(marks: LandmarkSet, transform: CanvasTransform) -> LandmarkSet:
    """Landmarks of a native image on its working grid."""
    return _moved(marks, transform.to_working, np.linalg.inv(transform.matrix))


def to_native(marks: LandmarkSet, transform: CanvasTransform) -> LandmarkSet:
    """Landmarks on the working grid in the native image."""
    return _moved(marks, transform.to_native, transform.matrix)


def _moved(
    marks: LandmarkSet, transform: Callable[[Any], NDArray[np.float64]], matrix: NDArray[np.floating]
) -> LandmarkSet:
    """Landmarks after an affine transform with that matrix."""
    scale, moved = abs(np.linalg.det(matrix)) ** (1 / len(matrix)), []
    for mark in marks.values():
        if mark.position is not None:
            position = tuple(float(value) for value in transform([mark.position])[0])
            error = None if mark.expected_error is None else mark.expected_error * scale
            covariance = None
            if mark.covariance is not None:
                covariance = tuple(map(tuple, (matrix @ np.array(mark.covariance) @ matrix.T).tolist()))
            mark = replace(mark, position=position, expected_error=error, covariance=covariance)
        moved.append(mark)
    return LandmarkSet(marks.schema, moved, image_state=marks.image_state)


def _copy_study(study: Study, cohort: Cohort, folder: Path, sent: SentNames) -> None:
    """The landmarks and decisions of a study under the names that the images have there."""
    names = {here: there for there, here in sent.names.items()}
    same = sent.names.keys() == set(sent.names.values())
    copy = Study.create(
        folder,
        schema=study.schema,
        template=names.get(study.template, ""),
        spacing=study.spacing if same else None,
    )
    if study.chose_sides:
        copy.update(sides=study.sides)
    for image, marks in study.annotations().items():
        if image not in names:
            continue
        number = cohort.index(image)
        geometry = cohort.geometry(number)
        if sent.reduced:
            transform = cohort.canvas_transform(number)
            marks, geometry = to_working(marks, transform), _reduced_geometry(geometry, transform)
        copy.save_annotations(names[image], marks, geometry)
    for image, decision in study.decisions().items():
        if image in names:
            copy.decide(names[image], decision)


def _write_images(
    folder: Path,
    count: int,
    image: Callable[[int], MedicalImage],
    progress: Progress | None,
    cancel: CancelToken | None,
    *,
    confirmed: bool = True,
) -> int:
    """Write images under numbers; returns their bytes. Stops where more would have to be confirmed."""
    folder.mkdir(mode=0o700)
    total = 0
    for number in range(count):
        if cancel is not None:
            cancel.raise_if_cancelled()
        found = image(number)
        geometry = replace(found.geometry, origin=(), spacing_plane="")
        array = found.array.astype(found.array.dtype.newbyteorder("="), copy=False)
        path = folder / number_name(number)
        write_nrrd(path, array, geometry)
        total += path.stat().st_size
        if (
            not confirmed
            and total * count / (number + 1) > LARGEST_WITHOUT_ASKING
            and number >= min(9, count - 1)
        ):
            raise _much(round(total * count / (number + 1)))
        if progress is not None:
            progress(ProgressEvent("preparing to send", (number + 1) / count, step=number + 1))
    return total


def _much(size: int) -> InputError:
    return InputError(
        f"about {size / 1e9:.1f} GB of images would be sent", code=ErrorCode.MUCH_TO_SEND, size=size
    )


def _reduced(cohort: Cohort, number: int) -> MedicalImage:
    """An image as it is on the working grid."""
    grey = np.rint(cohort.working(number) * _GREY_VALUES).astype(np.uint16)
    geometry = _reduced_geometry(cohort.geometry(number), cohort.canvas_transform(number))
    return MedicalImage(grey, geometry, number_name(number))


def _reduced_geometry(geometry: Geometry, transform: CanvasTransform) -> Geometry:
    if geometry.spacing is None:
        return Geometry(transform.canvas)
    step = np.asarray(geometry.direction) @ np.diag(geometry.spacing) @ transform.matrix
    length = np.linalg.norm(step, axis=0)
    return Geometry(
        transform.canvas,
        spacing=tuple(length.tolist()),
        direction=tuple(map(tuple, (step / length).tolist())),
        spacing_source=geometry.spacing_source,
    )
