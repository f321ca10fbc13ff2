"""Evaluation of a registration on pairs of images with known label maps or landmarks."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.errors import InputError
from napari_landmark.data.formats.image_names import ImageNames
from napari_landmark.data.formats.text_file import read_text
from napari_landmark.data.images.image import MedicalImage, read_image
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.progress import CancelToken, Progress, ProgressEvent
from napari_landmark.registration.label_map import read_label_map
from napari_landmark.registration.pairwise.header_alignment import header_alignment
from napari_landmark.registration.pairwise.measures import landmark_errors, warped_dice
from napari_landmark.registration.transform.transform import Transform

STAGE = "registering pairs"
"""Name of the work in progress events."""

Pair = tuple[str, str]
"""Names of a fixed and of a moving image."""


class Registered(Protocol):
    """Registered pair, such as a `Registration`."""

    @property
    def transform(self) -> Transform:
        """Transform from the fixed to the moving image."""

    @property
    def seconds(self) -> float:
        """Wall-clock time of the registration."""


Register = Callable[[MedicalImage, MedicalImage], Registered]
"""Function that registers a fixed and a moving image."""


@dataclass(frozen=True)
class EvaluatedPair:
    """Measures of one pair, before and after its registration.

    Attributes
    ----------
    dice : two dicts of int to float, or None
        Dice by label; None where an image has no label map.
    px : two tuples of float
        Distances of the landmarks known in both images, in pixels of the fixed image.
    mm : two tuples of float, or None
        The same in millimetres; None if the spacing is not known.
    lost : int
        Landmarks that could only be measured in the moving image.
    folding_percent, seconds : float
    """

    dice: tuple[Mapping[int, float], Mapping[int, float]] | None
    px: tuple[tuple[float, ...], tuple[float, ...]]
    mm: tuple[tuple[float, ...], tuple[float, ...]] | None
    lost: int
    folding_percent: float
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> EvaluatedPair:
        """The measures of `to_json`; InputError for anything else."""
        try:
            dice, mm = values["dice"], values["mm"]
            before, after = (tuple(map(float, part)) for part in values["px"])
            return cls(
                None
                if dice is None
                else _two(dice, lambda part: {int(k): float(v) for k, v in part.items()}),
                (before, after),
                None if mm is None else _two(mm, lambda part: tuple(map(float, part))),
                int(values["lost"]),
                float(values["folding_percent"]),
                float(values["seconds"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"these are no measures of a registered pair ({error})") from error


@dataclass(frozen=True)
class RegistrationEvaluation:
    """Means over pairs; None without a known value.

    Attributes
    ----------
    dice_before, dice : float or None
        Mean over pairs of the mean over labels, before and after.
    dice_per_label : dict of int to float
        Mean over the pairs that have the label.
    tre_before_mm, tre_mm : float or None
        Mean distance of landmarks in the fixed image; None if the spacing of an image is not known.
    tre_before_px, tre_px : float or None
        The same in pixels of the fixed image.
    folding_percent, seconds_per_pair : float or None
        Means over all pairs.
    n_pairs : int
        Pairs that were registered.
    n_pairs_with_labels, n_landmarks, n_lost : int
        Pairs with both label maps; landmarks known in both images of a pair, over all pairs; and those of them
        that could only be measured in the moving image.
    n_asked : int
        Pairs that were to be registered.
    """

    dice_before: float | None
    dice: float | None
    dice_per_label: dict[int, float]
    tre_before_mm: float | None
    tre_mm: float | None
    tre_before_px: float | None
    tre_px: float | None
    folding_percent: float | None
    seconds_per_pair: float | None
    n_pairs: int
    n_pairs_with_labels: int
    n_landmarks: int
    n_lost: int
    n_asked: int

    @property
    def cancelled(self) -> bool:
        """Whether the evaluation was stopped before the last pair."""
        return self.n_pairs < self.n_asked

    def to_json(self) -> dict[str, Any]:
        """Plain values, as ``napari-landmark register evaluate --json`` prints them."""
        return {
            "dice_before": self.dice_before,
            "dice": self.dice,
            "dice_per_label": {str(label): value for label, value in self.dice_per_label.items()},
            "tre_before_mm": self.tre_before_mm,
            "tre_mm": self.tre_mm,
            "tre_before_px": self.tre_before_px,
            "tre_px": self.tre_px,
            "folding_percent": self.folding_percent,
            "seconds_per_pair": self.seconds_per_pair,
            "n_pairs": self.n_pairs,
        }


def read_pairs(path: str | Path, names: Sequence[str]) -> list[Pair]:
    """Read a table with the columns fixed and moving.

    Parameters
    ----------
    path : str or Path
        CSV in UTF-8, separated by commas, semicolons or tabs; other columns are ignored.
    names : sequence of str
        Names of the images. Those of the table may have folders before them or lack the suffix.

    Returns
    -------
    list of (fixed, moving)
        Names of `names`.

    Raises
    ------
    InputError
        A row cannot be read or names an unknown image; the message has the file and the line.
    """
    path = Path(path)
    text, known = read_text(path), ImageNames(names)
    first = text.lstrip("\r\n").split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    columns: list[int] = []
    pairs: list[Pair] = []
    try:
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if not any(cell.strip() for cell in row):
                continue
            if not columns:
                titles = [cell.strip().lower() for cell in row]
                if not {"fixed", "moving"} <= set(titles):
                    raise InputError(f"{where}: the first line must name the columns fixed,moving")
                columns = [titles.index("fixed"), titles.index("moving")]
                continue
            given = [row[number].strip() if number < len(row) else "" for number in columns]
            fixed, moving = (_known(name, known, where) for name in given)
            if fixed == moving:
                raise InputError(f"{where}: {fixed} cannot be registered to itself: name two images")
            pairs.append((fixed, moving))
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: is not a readable row ({error})") from error
    if not pairs:
        raise InputError(f"{path}: holds no pairs: add a row with fixed,moving for each")
    return pairs


def evaluate_registration(
    register: Register,
    pairs: Sequence[Pair],
    images: Mapping[str, Path],
    *,
    labels: Mapping[str, Path] | None = None,
    landmarks: Mapping[str, LandmarkSet] | None = None,
    spacing: float | Sequence[float] | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> RegistrationEvaluation:
    """Register pairs and measure them before and after.

    Before is the `header_alignment`. Only the images of one pair are in memory at a time.

    Parameters
    ----------
    register : callable
        From the fixed and the moving image to a `Registration`.
    pairs : sequence of (str, str)
        Names of the fixed and the moving images.
    images : mapping of str to Path
        Files of the images, by name.
    labels : mapping of str to Path, optional
        Files of label maps, for some or all images.
    landmarks : mapping of str to LandmarkSet, optional
        Landmarks, for some or all images.
    spacing : float or sequence of float, optional
        Millimetres per pixel of all images, instead of the spacing in the files.
    progress : callable, optional
    cancel : CancelToken, optional
        Checked between pairs.

    Raises
    ------
    InputError
        An image or a label map cannot be used.
    """
    found: list[EvaluatedPair] = []
    measuring = measure_pairs(register, pairs, images, labels=labels, landmarks=landmarks, spacing=spacing)
    with closing(measuring):
        while len(found) < len(pairs) and not (cancel is not None and cancel.cancelled):
            if progress is not None:
                progress(ProgressEvent(STAGE, len(found) / len(pairs), step=len(found)))
            found.append(next(measuring))
    if progress is not None and len(found) == len(pairs):
        progress(ProgressEvent(STAGE, 1.0, step=len(pairs)))
    return means_of_pairs(found, asked=len(pairs))


def measure_pairs(
    register: Register,
    pairs: Sequence[Pair],
    images: Mapping[str, Path],
    *,
    labels: Mapping[str, Path] | None = None,
    landmarks: Mapping[str, LandmarkSet] | None = None,
    spacing: float | Sequence[float] | None = None,
) -> Generator[EvaluatedPair, None, None]:
    """Register pairs one by one and measure them; parameters and errors are those of `evaluate_registration`."""
    labels, landmarks = labels or {}, landmarks or {}

    # Lists of pairs often keep one image for several rows.
    @lru_cache(maxsize=2)
    def load(name: str) -> tuple[MedicalImage, NDArray[np.integer] | None]:
        image = read_image(images[name], spacing=spacing, name=name)
        return image, read_label_map(labels[name], image.geometry) if name in labels else None

    for fixed_name, moving_name in pairs:
        (fixed, fixed_labels), (moving, moving_labels) = load(fixed_name), load(moving_name)
        found = register(fixed, moving)
        before = header_alignment(fixed.geometry, moving.geometry)
        dice = None
        if fixed_labels is not None and moving_labels is not None:
            dice = (
                warped_dice(before, fixed_labels, moving_labels),
                warped_dice(found.transform, fixed_labels, moving_labels),
            )
        px: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
        mm: tuple[tuple[float, ...], tuple[float, ...]] | None = ((), ())
        lost = 0
        if fixed_name in landmarks and moving_name in landmarks:
            for image in (fixed, moving):
                _check_coordinates(image, landmarks[image.name])
            first, last = (
                landmark_errors(transform, landmarks[fixed_name], landmarks[moving_name])
                for transform in (before, found.transform)
            )
            px = (tuple(first.px.values()), tuple(last.px.values()))
            known = first.mm is not None and last.mm is not None
            mm = (tuple((first.mm or {}).values()), tuple((last.mm or {}).values())) if known else None
            lost = len(first.lost) + len(last.lost)
        yield EvaluatedPair(dice, px, mm, lost, found.transform.folding_percent(), found.seconds)


def means_of_pairs(measures: Sequence[EvaluatedPair], *, asked: int) -> RegistrationEvaluation:
    """Means over the pairs that were measured, of so many that were asked for."""
    before: list[float] = []
    after: list[float] = []
    per_label: defaultdict[int, list[float]] = defaultdict(list)
    with_labels = [one.dice for one in measures if one.dice is not None]
    for first, last in with_labels:
        for means, values in ((before, first), (after, last)):
            if values:
                means.append(float(np.mean(list(values.values()))))
        for label, value in last.items():
            per_label[label].append(value)
    px = [[value for one in measures for value in one.px[when]] for when in (0, 1)]
    # Millimetres of some pairs only would look like those of all.
    all_mm = all(one.mm is not None or not any(one.px) for one in measures)
    mm = [[value for one in measures if one.mm and all_mm for value in one.mm[when]] for when in (0, 1)]
    return RegistrationEvaluation(
        dice_before=_mean(before),
        dice=_mean(after),
        dice_per_label={label: float(np.mean(per_label[label])) for label in sorted(per_label)},
        tre_before_mm=_mean(mm[0]),
        tre_mm=_mean(mm[1]),
        tre_before_px=_mean(px[0]),
        tre_px=_mean(px[1]),
        folding_percent=_mean([one.folding_percent for one in measures]),
        seconds_per_pair=_mean([one.seconds for one in measures]),
        n_pairs=len(measures),
        n_pairs_with_labels=len(with_labels),
        n_landmarks=len(px[1]),
        n_lost=sum(one.lost for one in measures),
        n_asked=asked,
    )


def _two(parts: Sequence[Any], made: Callable[[Any], Any]) -> Any:
    before, after = map(made, parts)
    return before, after


def _check_coordinates(image: MedicalImage, landmarks: LandmarkSet) -> None:
    if landmarks.ndim not in (None, image.geometry.ndim):
        raise InputError(
            f"{image.name}: its landmarks have {landmarks.ndim} coordinates and the image {image.geometry.ndim} axes"
        )


def _known(name: str, names: ImageNames, where: str) -> str:
    if not name:
        raise InputError(f"{where}: a name is missing: give fixed,moving")
    try:
        found = names.find(name)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    if found is None:
        raise InputError(f"{where}: there is no image {name!r} (there is e.g. {names.example!r})")
    return found


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
