"""Registration of many images to one, each into a folder of its own, with a table of all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_landmark.data.cohort.folder import file_state
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.atomic import atomic_write
from napari_landmark.data.files.csv_table import guarded_name
from napari_landmark.data.files.json_file import read_json_object
from napari_landmark.data.images.image import MedicalImage, read_image
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.learning.device import choose_device
from napari_landmark.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.registration.label_map import read_label_map
from napari_landmark.registration.model import RegistrationModel
from napari_landmark.registration.options import PAIR_WEIGHTS, PairOptions
from napari_landmark.registration.pairwise.kept_settings import keep_settings
from napari_landmark.registration.pairwise.output import RegisteredPair, write_pair
from napari_landmark.registration.pairwise.register import register_pair

SETTINGS, TABLE = "registrations.json", "registrations.csv"
MEASURES = "measures.json"
STAGE = "registering images"
_COLUMNS = (
    *("correlation_before", "correlation", "dice_before", "dice", "tre_before_mm", "tre_mm"),
    *("tre_before_px", "tre_px", "folding_percent", "seconds"),
)


@dataclass(frozen=True, kw_only=True)
class CohortImages:
    """Images to register to one of them.

    Parameters
    ----------
    fixed : str
        Name of the image that stays as it is.
    images : mapping of str to Path
        Files of all images by name.
    labels : mapping of str to Path
        Label maps of some of them.
    landmarks : mapping of str to LandmarkSet
        Landmarks of some of them, in index coordinates.
    spacing : float, optional
        Millimetres per pixel instead of the files' own.
    """

    fixed: str
    images: Mapping[str, Path]
    labels: Mapping[str, Path] = field(default_factory=dict)
    landmarks: Mapping[str, LandmarkSet] = field(default_factory=dict)
    spacing: float | tuple[float, ...] | None = None

    def state(self, name: str) -> str:
        """Digest that changes with the file of an image, of its label map, and with its landmarks."""
        files = [self.images[name], *([self.labels[name]] if name in self.labels else [])]
        marks = self.landmarks[name].values() if name in self.landmarks else ()
        known = [_states(files), self.spacing, [(mark.name, mark.position) for mark in marks]]
        return sha256(json.dumps(known).encode()).hexdigest()


@dataclass
class CohortRegistration:
    """What was registered.

    Attributes
    ----------
    measures : dict of str to dict
        Quality metrics by name of the moving image, see `RegisteredPair.measures`.
    problems : dict of str to str
        Images that could not be registered, and why.
    cancelled : bool
    """

    measures: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    cancelled: bool = False


def _states(files: Sequence[Path]) -> list[tuple[int, int] | None]:
    """Size and time of change of each file, as `file_state` gives them; None where it is gone."""
    found: list[tuple[int, int] | None] = []
    for file in files:
        try:
            found.append(file_state(file))
        except OSError:
            found.append(None)
    return found


def register_cohort(
    cohort: CohortImages,
    out: Path,
    *,
    model: Path | None = None,
    device: str = "auto",
    steps: int | None = None,
    regions: Mapping[int, float] | None = None,
    guide: bool = True,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> CohortRegistration:
    """Register every image of a cohort to one of them.

    Each gets a folder of its name with the files of `write_pair`. Images that an earlier call with the same settings
    registered are not done again, unless they, their label maps or landmarks, or those of the fixed image, have
    changed. ``registrations.csv`` has a row for each.

    Parameters
    ----------
    cohort : CohortImages
    out : Path
        Made where it does not exist.
    model : Path, optional
        Folder of a trained model.
    steps : int, optional
        Of the instance optimization.
    regions : mapping of int to float, optional
        Weights of labels.
    guide : bool
        Whether landmarks guide the registrations; they are warped and measured in any case.
    cancel : CancelToken, optional
        Ends the work; finished images stay, the one that is being registered is not written.

    Raises
    ------
    InputError
        The fixed image or the model cannot be used, there is no other image, or the folder holds registrations with
        other settings.
    """
    if cohort.fixed not in cohort.images:
        raise InputError(f"{cohort.fixed}: there is no such image among the {len(cohort.images)} to register")
    moving_names = [name for name in cohort.images if name != cohort.fixed]
    if not moving_names:
        raise InputError(f"{cohort.fixed}: is the only image: there is nothing to register to it")
    chosen = choose_device(device)
    fixed = _Loaded.read(cohort, cohort.fixed)
    trained = None if model is None else RegistrationModel.load(model, device=chosen)
    own = PAIR_WEIGHTS[fixed.image.geometry.ndim] if trained is None else trained.weights
    weights = own.with_regions(regions or {})
    options = PairOptions(steps=steps, weights=weights, device=device)
    settings = {
        "fixed": cohort.fixed,
        "model": None if model is None else str(model.absolute()),
        "steps": steps,
        "weights": weights.to_json(),
        "guided": guide,
    }
    keep_settings(out / SETTINGS, settings, what="registrations")
    found, fixed_state = CohortRegistration(), cohort.state(cohort.fixed)
    for done, name in enumerate(moving_names):
        if cancel is not None and cancel.cancelled:
            break
        folder = out / name
        inputs = {"fixed": fixed_state, "moving": cohort.state(name)}
        measures = _finished(folder, cohort.fixed, name, inputs)
        if measures is None:
            try:
                moving = _Loaded.read(cohort, name)
                registration = register_pair(
                    fixed.image,
                    moving.image,
                    model=trained,
                    fixed_labels=fixed.labels,
                    moving_labels=moving.labels,
                    fixed_landmarks=fixed.landmarks if guide else None,
                    moving_landmarks=moving.landmarks if guide else None,
                    options=options,
                    progress=_part_of(progress, done, len(moving_names)),
                    cancel=cancel,
                )
                if cancel is not None and cancel.cancelled:
                    break
                pair = RegisteredPair(
                    fixed.image,
                    moving.image,
                    registration,
                    *(fixed.labels, moving.labels, fixed.landmarks, moving.landmarks),
                    guided=guide,
                )
                measures = pair.measures() | {"inputs": inputs}
                write_pair(pair, folder, measures=measures)
            except InputError as error:
                found.problems[name] = str(error)
                continue
            except OSError as error:
                if error.filename is not None and Path(error.filename).is_relative_to(out):
                    raise  # nothing more can be written
                found.problems[name] = f"cannot be read ({error.strerror or error})"
                continue
        found.measures[name] = measures
        _write_table(out, found)
    found.cancelled = len(found.measures) + len(found.problems) < len(moving_names)
    _write_table(out, found)
    if progress is not None and not found.cancelled:
        progress(ProgressEvent(STAGE, 1.0, step=len(moving_names)))
    return found


@dataclass(frozen=True, eq=False)
class _Loaded:
    image: MedicalImage
    labels: NDArray[Any] | None
    landmarks: LandmarkSet | None

    @classmethod
    def read(cls, cohort: CohortImages, name: str) -> _Loaded:
        image = read_image(cohort.images[name], spacing=cohort.spacing, name=name)
        labels = read_label_map(cohort.labels[name], image.geometry) if name in cohort.labels else None
        landmarks = cohort.landmarks.get(name)
        placed = landmarks is not None and any(mark.position is not None for mark in landmarks.values())
        return cls(image, labels, landmarks if placed else None)


def _finished(folder: Path, fixed: str, moving: str, inputs: dict[str, str]) -> dict[str, Any] | None:
    """Measures of a registration of the same inputs that was finished before: they are its last file."""
    try:
        measures = read_json_object(folder / MEASURES)
    except (OSError, InputError):
        return None
    expected = {"fixed": fixed, "moving": moving, "cancelled": False, "inputs": inputs}
    return measures if all(measures.get(key) == value for key, value in expected.items()) else None


def _part_of(progress: Progress | None, done: int, count: int) -> Progress | None:
    if progress is None:
        return None

    def report(event: ProgressEvent) -> None:
        progress(ProgressEvent(STAGE, (done + min(1.0, event.fraction)) / count, step=done))

    return report


def _write_table(out: Path, found: CohortRegistration) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", *_COLUMNS, "problem"))
    for name, measures in found.measures.items():
        values = (measures.get(column) for column in _COLUMNS)
        writer.writerow(
            (guarded_name(name), *("" if value is None else f"{value:.6g}" for value in values), "")
        )
    for name, problem in found.problems.items():
        writer.writerow((guarded_name(name), *[""] * len(_COLUMNS), guarded_name(problem)))
    atomic_write(out / TABLE, text.getvalue())
