"""Detection in a list of images, of which a few are in memory at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_landmark.data.cohort.folder import SkippedFile
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.errors import InputError
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.image import MedicalImage, read_geometry, read_image
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.subjects import subject_name
from napari_landmark.detection.inference.heatmap_files import write_heatmaps
from napari_landmark.detection.inference.journal import DetectionJournal, JournalContent, read_journal
from napari_landmark.detection.inference.shard import Shard
from napari_landmark.detection.model.detection import Detection
from napari_landmark.detection.model.predictor import Predictor
from napari_landmark.learning.side_by_side import side_by_side
from napari_landmark.learning.threads import thread_limit
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

_READ_AHEAD = 2
WHOLE_LIST = Shard()


@dataclass(frozen=True)
class ImageReference:
    """Image that can be read.

    Parameters
    ----------
    name : str
        Its name in the results.
    path : Path
        File, or folder of a DICOM series.
    """

    name: str
    path: Path


@dataclass
class Detections:
    """Predictions in a list of images.

    Parameters
    ----------
    landmarks : dict of str to LandmarkSet
        By name of the image, in the order of the list.
    geometries : dict of str to Geometry
        Of the same images.
    poses : dict of str to Pose
        Of the same images, relative to the template's.
    further_subjects : dict of str to tuple of LandmarkSet
        Of images that show several subjects: landmarks of the second one and on. `landmarks` has the first one, which
        is found best.
    skipped_files : list of SkippedFile
        Images that could not be used.
    cancelled : bool
        Whether the run was cancelled before the end of the list.
    n_resumed : int
        Number of images whose predictions were taken from the journal of an interrupted run.
    """

    landmarks: dict[str, LandmarkSet] = field(default_factory=dict)
    geometries: dict[str, Geometry] = field(default_factory=dict)
    poses: dict[str, Pose] = field(default_factory=dict)
    further_subjects: dict[str, tuple[LandmarkSet, ...]] = field(default_factory=dict)
    skipped_files: list[SkippedFile] = field(default_factory=list)
    cancelled: bool = False
    n_resumed: int = 0

    def in_order(self, names: Sequence[str]) -> None:
        """Bring landmarks and poses into the order of these names."""
        self.landmarks = {name: self.landmarks[name] for name in names if name in self.landmarks}
        self.poses = {name: self.poses[name] for name in names if name in self.poses}
        self.further_subjects = {
            name: self.further_subjects[name] for name in names if name in self.further_subjects
        }

    def by_subject(self) -> tuple[dict[str, LandmarkSet], dict[str, Geometry]]:
        """Landmarks and geometries of all subjects in the order of the images.

        Their names are those of `subject_name`.
        """
        landmarks: dict[str, LandmarkSet] = {}
        geometries: dict[str, Geometry] = {}
        for image, first in self.landmarks.items():
            subjects = (first, *self.further_subjects.get(image, ()))
            for number, marks in enumerate(subjects, start=1):
                name = subject_name(image, number)
                landmarks[name], geometries[name] = marks, self.geometries[image]
        return landmarks, geometries


@thread_limit()
def detect_images(
    model: Predictor,
    references: Sequence[ImageReference],
    *,
    spacing: float | Sequence[float] | None = None,
    default_spacing: float | Sequence[float] | None = None,
    heatmaps: Path | None = None,
    journal: Path | None = None,
    shard: Shard = WHOLE_LIST,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Detections:
    """Predict the landmarks of images; one that cannot be used is skipped.

    Parameters
    ----------
    references : sequence of ImageReference
        Names are unique.
    spacing : float or sequence of float, optional
        Millimetres per pixel, one value or one per axis in array axis order, used instead of what the files say.
    default_spacing : float or sequence of float, optional
        Millimetres per pixel of the images whose files say nothing.
    heatmaps : Path, optional
        Folder to write each image's heatmaps and an overlay picture to.
    journal : Path, optional
        File that keeps the predictions made so far (`shard.journal` of it). The predictions of an interrupted run with
        the same model are taken from it. To be removed by the caller once the result is written.
    shard : Shard, optional
        Part of the list that is worked on; `merge_shards` joins the journals of all parts.

    Raises
    ------
    InputError
        The journal or a heatmap cannot be written, or two images have one name.
    """
    check_unique_names(references)
    references = shard.select(references)
    found = Detections()
    with ExitStack() as stack:
        kept = None
        if journal is not None:
            kept = DetectionJournal(
                shard.journal(journal), run_entry(model, spacing, default_spacing, heatmaps), model.schema
            )
            stack.callback(kept.close)
        todo = references if kept is None else take_over(references, kept.content, found)

        def detect(item: tuple[ImageReference, Future[MedicalImage]]) -> tuple[MedicalImage, Detection]:
            image = item[1].result()
            return image, model.detect(image, heatmaps=heatmaps is not None)

        found.cancelled = bool(cancel and cancel.cancelled and todo)
        images = _read_ahead([] if found.cancelled else todo, spacing, default_spacing)
        results = side_by_side(detect, images, device=model.device, ndim=len(model.canvas))
        stack.enter_context(closing(results))
        for done, ((reference, _), outcome) in enumerate(results, start=1):
            name, path = reference.name, reference.path
            try:
                image, detection = outcome.result()
            except (InputError, OSError) as error:
                skipped = SkippedFile(name, _reason(error, reference))
                found.skipped_files.append(skipped)
                if kept is not None:
                    kept.skip(name, path, skipped.reason)
            else:
                if heatmaps is not None:
                    write_heatmaps(heatmaps, image, detection)
                found.landmarks[name], found.geometries[name] = detection.landmarks, image.geometry
                found.poses[name] = detection.pose
                further = detection.subjects[1:]
                if further:
                    found.further_subjects[name] = further
                if kept is not None:
                    kept.add(
                        name,
                        path,
                        detection.landmarks,
                        image.geometry,
                        detection.pose,
                        further_subjects=further,
                    )
            if progress:
                progress(ProgressEvent("detecting", (found.n_resumed + done) / len(references)))
            if cancel and cancel.cancelled and done < len(todo):
                found.cancelled = True
                break
    found.in_order([reference.name for reference in references])
    return found


def merge_shards(
    model: Predictor,
    references: Sequence[ImageReference],
    *,
    journal: Path,
    count: int,
    spacing: float | Sequence[float] | None = None,
    default_spacing: float | Sequence[float] | None = None,
    heatmaps: Path | None = None,
) -> Detections:
    """Join the journals of all shards of a list: the same as one run of `detect_images` over the list.

    Parameters
    ----------
    model, references, journal, spacing, default_spacing, heatmaps
        As given to `detect_images` for every shard.
    count : int
        Number of shards.

    Raises
    ------
    InputError
        A shard was not run, not to its end, or with another model or spacing; or an image changed since.
    """
    check_unique_names(references)
    run = run_entry(model, spacing, default_spacing, heatmaps)
    found, skipped = Detections(), {}
    for shard in (Shard(index, count) for index in range(count)):
        path = shard.journal(journal)
        content = read_journal(path, run, model.schema)
        lacking = []
        for reference in take_over(shard.select(references), content, found):
            reason = content.find_skipped(reference.name, reference.path)
            if reason is None:
                lacking.append(reference.name)
            else:
                skipped[reference.name] = SkippedFile(reference.name, reason)
        if lacking:
            fault = "is of another model or spacing" if content.of_another_run else f"lacks {lacking[0]}"
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 and not content.of_another_run else ""
            raise InputError(f"{path}: {fault}{more}: run shard {shard.index} of {count} again")
    names = [reference.name for reference in references]
    found.in_order(names)
    found.skipped_files = [skipped[name] for name in names if name in skipped]
    return found


def check_unique_names(references: Sequence[ImageReference]) -> None:
    """Refuse two images of one name (InputError)."""
    names = [reference.name for reference in references]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{twice}: is the name of two images: rename one of them")


def run_entry(
    model: Predictor, spacing: object, default_spacing: object, heatmaps: Path | None
) -> dict[str, Any]:
    """First entry of a journal: all that the predictions and the written heatmaps depend on besides the images."""
    return {
        "model": model.digest(),
        "spacing": spacing,
        **({} if default_spacing is None else {"default_spacing": default_spacing}),
        "heatmaps": None if heatmaps is None else str(heatmaps.resolve()),
    }


def take_over(
    references: Sequence[ImageReference], content: JournalContent, found: Detections
) -> list[ImageReference]:
    """Add the predictions of a journal to `found`; returns the images that have none."""
    todo = []
    for reference in references:
        earlier = content.find(reference.name, reference.path)
        if earlier is None:
            todo.append(reference)
        else:
            found.landmarks[reference.name], found.geometries[reference.name], pose = earlier
            found.poses[reference.name] = pose
            if further := content.further_subjects(reference.name):
                found.further_subjects[reference.name] = further
            found.n_resumed += 1
    return todo


def _reason(error: Exception, reference: ImageReference) -> str:
    """Message of an error without the file, which its name says already."""
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror or error})"
    return str(error).removeprefix(f"{reference.path}: ").removeprefix(f"{reference.name}: ")


def _read_ahead(
    references: Sequence[ImageReference],
    spacing: float | Sequence[float] | None,
    default_spacing: float | Sequence[float] | None,
) -> Iterator[tuple[ImageReference, Future[MedicalImage]]]:
    """Read images in order; the next ones are read while the caller works on one."""
    with ThreadPoolExecutor(1) as reader:
        waiting: list[tuple[ImageReference, Future[MedicalImage]]] = []
        for reference in references:
            image = reader.submit(read_reference, reference, spacing, default_spacing)
            waiting.append((reference, image))
            if len(waiting) > _READ_AHEAD:
                yield waiting.pop(0)
        yield from waiting


def read_reference(
    reference: ImageReference,
    spacing: float | Sequence[float] | None,
    default_spacing: float | Sequence[float] | None,
) -> MedicalImage:
    """Read an image as `detect_images` does, with a spacing instead of its own, or where it has none."""
    image = read_image(reference.path, spacing=spacing, name=reference.name)
    return dataclasses.replace(image, geometry=_with_default(image.geometry, default_spacing))


def reference_geometry(
    reference: ImageReference,
    spacing: float | Sequence[float] | None,
    default_spacing: float | Sequence[float] | None,
) -> Geometry:
    """Geometry that `read_reference` gives, from the header alone where the format has one."""
    return _with_default(read_geometry(reference.path, spacing=spacing), default_spacing)


def _with_default(geometry: Geometry, default_spacing: float | Sequence[float] | None) -> Geometry:
    if default_spacing is None or geometry.has_spacing:
        return geometry
    return geometry.with_spacing(default_spacing)
