"""Label maps of all images of a cohort from those of a few of them, with their expected overlap."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np

from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.csv_table import guarded_name, number_cell, table_text, unguarded_name
from napari_landmark.data.formats.image_names import image_stem
from napari_landmark.data.images.image import MedicalImage, read_image
from napari_landmark.data.images.nrrd import write_nrrd
from napari_landmark.learning.device import choose_device
from napari_landmark.metrics import dice
from napari_landmark.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.registration.label_map import read_label_map
from napari_landmark.registration.model import RegistrationModel
from napari_landmark.registration.options import PairOptions
from napari_landmark.registration.pairwise.atlas_segmentation import STAGE, Atlas, segment_by_atlases
from napari_landmark.registration.pairwise.kept_settings import keep_settings
from napari_landmark.registration.pairwise.label_fusion import FusedLabels

SETTINGS, TABLE, CHECK = "labels.json", "labels.csv", "held_out.csv"
_LEAST_TO_CHECK = 3  # labelled images: two others at least vote for each


@dataclass(frozen=True, kw_only=True)
class LabelledCohort:
    """Images, a few of which have a label map.

    Parameters
    ----------
    images : mapping of str to Path
        Files of all images by name.
    labels : mapping of str to Path
        Label maps of some of them.
    spacing : float, optional
        Millimetres per pixel instead of the files' own.

    Raises
    ------
    InputError
        No label map, or two images whose label maps would have one name.
    """

    images: Mapping[str, Path]
    labels: Mapping[str, Path]
    spacing: float | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not self.labels:
            raise InputError("there is no label map to carry to the images; draw that of one image at least")
        stems: dict[str, str] = {}
        for name in self.images:
            other = stems.setdefault(image_stem(name), name)
            if other != name:
                raise InputError(
                    f"{other} and {name}: their label maps would have one name; rename one of the images"
                )

    @property
    def unlabelled(self) -> list[str]:
        """Names of the images without a label map."""
        return [name for name in self.images if name not in self.labels]

    def image(self, name: str) -> MedicalImage:
        """Read an image."""
        return read_image(self.images[name], spacing=self.spacing, name=name)

    def atlas(self, name: str) -> Atlas:
        """Read an image and its label map."""
        image = self.image(name)
        return Atlas(image, read_label_map(self.labels[name], image.geometry))


@dataclass
class CohortLabels:
    """What was labelled.

    Attributes
    ----------
    agreement : dict of str to float or None
        Mean agreement of the votes in the regions, by name of the image; None where no region was found.
    expected_dice : dict of int to float
        By label: mean Dice of labelled images with their own map, each labelled by the others. Empty where it was not
        measured.
    problems : dict of str to str
        Images that could not be labelled, and why.
    cancelled : bool
    """

    agreement: dict[str, float | None] = field(default_factory=dict)
    expected_dice: dict[int, float] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    cancelled: bool = False


def label_cohort(
    cohort: LabelledCohort,
    out: Path,
    *,
    model: Path | None = None,
    options: PairOptions = PairOptions(),
    check: bool = True,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> CohortLabels:
    """Label every image that has no label map, by those that have one.

    Writes a label map an image, called like it, ``labels.csv`` with the agreement of the votes, and ``held_out.csv``
    with the Dice of each label in labelled images that the others labelled. A second call goes on with what is not
    there.

    Parameters
    ----------
    cohort : LabelledCohort
    out : Path
        Made where it does not exist.
    model : Path, optional
        Folder of a trained model.
    options : PairOptions
        Of the registrations.
    check : bool
        Label every labelled image by the others, too, to learn what overlap to expect; needs three of them.
    cancel : CancelToken, optional
        Ends the work; finished maps stay.

    Raises
    ------
    InputError
        The folder is that of the given label maps or holds maps of other ones, every image has a map already, a given
        map cannot be used, or there is no such model.
    """
    if any(path.parent.resolve() == out.resolve() for path in cohort.labels.values()):
        raise InputError(f"{out}: holds the label maps that were given; give another folder for the new ones")
    wanted = cohort.unlabelled
    if not wanted:
        raise InputError(f"all {len(cohort.images)} images have a label map: there is nothing to carry over")
    trained = None if model is None else RegistrationModel.load(model, device=choose_device(options.device))
    atlases = {name: cohort.atlas(name) for name in cohort.labels}
    settings = {
        # A map that was drawn anew makes other ones.
        "labelled": {name: sha256(atlas.labels.tobytes()).hexdigest() for name, atlas in atlases.items()},
        "model": None if model is None else str(model.absolute()),
        "steps": options.steps,
        "working_size": options.working_size,
        "any_rotation": options.any_rotation,
    }
    keep_settings(out / SETTINGS, settings, what="label maps")
    checked = list(atlases) if check and len(atlases) >= _LEAST_TO_CHECK else []
    work = _Work(atlases, trained, options, len(wanted) + len(checked), progress, cancel)
    found = CohortLabels()
    known = _read_agreement(out / TABLE)
    for name in wanted:
        path = out / f"{image_stem(name)}.nrrd"
        if name in known and path.exists():
            found.agreement[name] = known[name]
            work.done += 1
            continue
        try:
            image = cohort.image(name)
            fused = work.segment(image, list(atlases))
        except (InputError, OSError) as error:
            found.problems[name] = str(error)
            continue
        if fused is None:
            break
        write_nrrd(path, fused.labels, image.geometry)
        found.agreement[name] = fused.mean_agreement
        _write_agreement(out / TABLE, found)
    found.cancelled = len(found.agreement) + len(found.problems) < len(wanted)
    _write_agreement(out / TABLE, found)
    if checked and not found.cancelled:
        overlap = _read_dice(out / CHECK) or _held_out_dice(work, checked)
        found.cancelled = overlap is None
        if overlap:
            found.expected_dice = overlap
            _write_dice(out / CHECK, overlap)
    if progress is not None and not found.cancelled:
        progress(ProgressEvent(STAGE, 1.0, step=work.count))
    return found


@dataclass
class _Work:
    """Segmentations by the same atlases, counted for the progress."""

    atlases: Mapping[str, Atlas]
    model: RegistrationModel | None
    options: PairOptions
    count: int
    progress: Progress | None
    cancel: CancelToken | None
    done: int = 0

    def segment(self, image: MedicalImage, names: Sequence[str]) -> FusedLabels | None:
        """Segment one image by the atlases of these names; None after a cancel."""
        if self.cancel is not None and self.cancel.cancelled:
            return None
        done, progress = self.done, self.progress
        self.done += 1

        def report(event: ProgressEvent) -> None:
            if progress is not None:
                progress(ProgressEvent(STAGE, (done + min(1.0, event.fraction)) / self.count, step=done))

        atlases = [self.atlases[name] for name in names]
        return segment_by_atlases(
            image, atlases, model=self.model, options=self.options, progress=report, cancel=self.cancel
        )


def _held_out_dice(work: _Work, names: Sequence[str]) -> dict[int, float] | None:
    """Mean Dice by label of labelled images, each segmented by the others; None after a cancel."""
    values: dict[int, list[float]] = {}
    for name in names:
        own = work.atlases[name]
        fused = work.segment(own.image, [other for other in names if other != name])
        if fused is None:
            return None
        for label, value in dice(own.labels, fused.labels).items():
            values.setdefault(label, []).append(value)
    return {label: float(np.mean(found)) for label, found in sorted(values.items())}


def _write_agreement(path: Path, found: CohortLabels) -> None:
    rows = [(name, number_cell(value, digits=4), "") for name, value in found.agreement.items()]
    rows += [(name, "", guarded_name(problem)) for name, problem in found.problems.items()]
    text = table_text([(guarded_name(name), *cells) for name, *cells in rows])
    atomic_write(path, table_text([("image", "agreement", "problem")]) + text)


def _read_agreement(path: Path) -> dict[str, float | None]:
    """Agreement by name of the images that were labelled; a table that cannot be read is made anew."""
    try:
        return {
            unguarded_name(row["image"]): float(row["agreement"]) if row["agreement"] else None
            for row in _read_rows(path, ("image", "agreement", "problem"))
            if not row["problem"]
        }
    except ValueError:
        return {}


def _write_dice(path: Path, overlap: Mapping[int, float]) -> None:
    rows = [
        ("label", "dice"),
        *((str(label), number_cell(value, digits=4)) for label, value in overlap.items()),
    ]
    atomic_write(path, table_text(rows))


def _read_dice(path: Path) -> dict[int, float]:
    """Dice by label from an earlier call; empty where there is none, or none that can be read."""
    try:
        return {int(row["label"]): float(row["dice"]) for row in _read_rows(path, ("label", "dice"))}
    except ValueError:
        return {}


def _read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            return list(reader) if tuple(reader.fieldnames or ()) == tuple(columns) else []
    except OSError:
        return []
