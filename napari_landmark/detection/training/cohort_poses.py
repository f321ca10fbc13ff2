"""Poses of the images of a cohort relative to the template's, found by the embedding before anything learns labels."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_landmark.data.cohort.cohort import Cohort
from napari_landmark.data.cohort.pose import Pose
from napari_landmark.data.cohort.working_grid import fit_canvas_transform
from napari_landmark.data.errors import InputError
from napari_landmark.data.files.json_file import read_json_object, write_json_object
from napari_landmark.data.sides import Mirroring, Sides
from napari_landmark.detection.detector.pseudo_labels import pseudo_labelled_images
from napari_landmark.detection.embedding.feature_extractor import FeatureExtractor
from napari_landmark.detection.embedding.template_matching import (
    Descriptors,
    Template,
    describe_templates,
    match_templates,
)
from napari_landmark.detection.model.embedding_trials import EmbeddingTrials
from napari_landmark.detection.model.uncertainty import match_error
from napari_landmark.detection.pose.candidates import ContentBounds, coarse_poses
from napari_landmark.detection.pose.search import PoseSearch, PoseTrial
from napari_landmark.learning.batches import load_batch
from napari_landmark.learning.device import Device
from napari_landmark.progress import CancelToken, Progress, ProgressEvent

_STAGE = "finding poses"
_TESTED = 6  # of the images that match worst: where all of them are upright, the cohort is
# Of the error as the image is: a pose below the first limit makes a cohort mixed, and in a mixed one poses below the
# second are taken. Of 44 drawn hands 15 were mirrored: 0.61 to 0.82 there, 1.2 to 1.6 in the others; 1.4 and more where
# none was, 2.1 in cephalograms, 0.99 in chests from the front, which look alike in a mirror. An embedding of few steps
# and small images comes to 0.84 in images that are all upright.
_CLEAR = 0.78
_LESS = 0.9
_CLEARLY_LESS = 0.6  # the same for another part of the image in the same orientation
_LARGEST_ERROR = 0.025  # of the longest side, in the right pose
_FOREIGN = 3.0  # times the usual error in the best pose
_ASIDE = (
    1.7  # times the usual error, of the score in the best pose: 1.3 at most in drawn hands, 2 in other images
)
_BATCH = 4  # images
_FEWEST_SHARED = 3  # landmarks of template and annotated image, by which its orientation is known


@dataclass(frozen=True)
class CohortPoses:
    """Poses of the images of a cohort.

    Parameters
    ----------
    poses : mapping of int to Pose
        By number of the image; upright ones may be left out.
    aside : mapping of int to str
        Images that nothing shall learn from, with the reason.
    searched : int
        Number of images whose poses were tried.
    """

    poses: Mapping[int, Pose] = field(default_factory=dict)
    aside: Mapping[int, str] = field(default_factory=dict)
    searched: int = 0


def write_cohort_poses(path: Path, found: CohortPoses, cohort: Cohort) -> None:
    """Write the poses of a cohort for a training that is resumed, whole or not at all."""
    names = cohort.names
    write_json_object(
        path,
        {
            "images": list(names),
            "poses": {names[number]: pose.to_json() for number, pose in found.poses.items()},
            "aside": {names[number]: reason for number, reason in found.aside.items()},
            "searched": found.searched,
        },
        indent=None,
    )


def read_cohort_poses(path: Path, cohort: Cohort) -> CohortPoses | None:
    """Poses that `write_cohort_poses` wrote; None where there are none, or of other images."""
    try:
        content = read_json_object(path)
        if content["images"] != list(cohort.names):
            return None
        poses = {cohort.index(name): Pose.from_json(data) for name, data in content["poses"].items()}
        aside = {cohort.index(name): str(reason) for name, reason in content["aside"].items()}
        return CohortPoses(poses, aside, int(content["searched"]))
    except (OSError, InputError, LookupError, TypeError, ValueError, AttributeError):
        return None


def cut_borders(cohort: Cohort, annotated: Sequence[Template]) -> dict[int, Pose]:
    """Poses that leave out uniform borders, by number of the image; annotated landmarks stay inside."""
    marks = {image.index: image.positions for image in annotated}
    poses = {}
    if cohort.ndim == 2:
        for number in range(len(cohort)):
            bounds = ContentBounds.of_image(cohort.geometry(number), cohort.canvas, cohort.working(number))
            if bounds.is_cut:
                bounds = bounds.including(marks.get(number, np.empty((0, 2))))
                poses[number] = bounds.fit(np.eye(2))
    return poses


def moved_templates(
    templates: Sequence[Template], before: Cohort, after: Cohort, sides: Sides, names: Sequence[str]
) -> list[Template]:
    """Templates of one cohort on the working grids of the same images in other poses.

    Landmarks of images that are mirror images in `after`, and were not before, get the names of their side.
    """
    moved = []
    for template in templates:
        number = template.index
        native = before.canvas_transform(number).to_native(template.positions)
        mirrored = after.pose(number).is_mirrored != before.pose(number).is_mirrored
        rows = sides.rows(names, mirrored=mirrored)
        moved.append(Template(number, after.canvas_transform(number).to_working(native)[rows]))
    return moved


@dataclass(frozen=True, kw_only=True)
class CohortPoseFinder:
    """Search for the poses of a cohort.

    Parameters
    ----------
    upright : Cohort
        The images as they are in their files.
    drawn : Cohort
        The same images as the embedding saw them: uniform borders may be cut.
    extractor : FeatureExtractor
    annotated : sequence of Template
        On the working grids of `drawn`, the template first; its pose is the one that the others are compared with.
    sides : Sides
    names : sequence of str
        Of the landmarks.
    device : Device
    seconds : float, optional
        Limit; images that were not tried until then are left aside.
    progress : Progress, optional
    cancel : CancelToken, optional
    """

    upright: Cohort
    drawn: Cohort
    extractor: FeatureExtractor
    annotated: Sequence[Template]
    sides: Sides
    names: Sequence[str]
    device: Device
    seconds: float | None = None
    progress: Progress | None = None
    cancel: CancelToken | None = None

    def find(self) -> CohortPoses | None:
        """Find the poses; None once `cancel` is set.

        All images are matched as they are. Of those that match worst, other poses are tried; only where one of them
        is better, of all the others, too.
        """
        known = {number: self.drawn.pose(number) for number in range(len(self.drawn))}
        poses = {number: pose for number, pose in known.items() if not pose.is_upright}
        for image in self.annotated[1:]:
            if (pose := self._annotated_pose(image)) is not None:
                poses[image.index] = pose
        others = sorted(
            set(pseudo_labelled_images(len(self.drawn), ())) - {image.index for image in self.annotated}
        )
        plain = self._as_drawn(others, known)
        coarse = None if plain is None else self._coarse(plain)
        if plain is None or coarse is None:
            return None
        best = {n: min(trial.error for trial in (plain[n], *coarse.get(n, ())[:1])) for n in plain}
        usual = float(np.median(list(best.values()))) if best else 0.0
        is_mixed = self._is_mixed(plain, coarse)
        share = _LESS if is_mixed else _CLEAR
        aside = {}
        for number, drawn in plain.items():
            if self._cancelled():
                return None
            trial = drawn
            if number not in coarse and is_mixed:
                aside[number] = "its pose was not searched in the time of this training"
            elif number in coarse and (
                best[number] > _FOREIGN * usual or self._is_turned(drawn, coarse[number][0], share=share)
            ):
                trial = self._search(number).finish(coarse[number], usual)
            elif drawn.error > usual and drawn.is_off(self.annotated[0].positions, self._canvas):
                trial = self._search(number).refined(drawn)
            if self._is_turned(drawn, trial, share=share):
                poses[number] = trial.pose
            if number not in aside and min(drawn.score, trial.score) > _ASIDE * usual:
                aside[number] = "resembles the template in no pose"
        return CohortPoses(poses, aside, len(coarse))

    def _as_drawn(self, numbers: Sequence[int], known: Mapping[int, Pose]) -> dict[int, PoseTrial] | None:
        """Trials of images as they are drawn, the largest expected error first; None if cancelled."""
        trials: dict[int, PoseTrial] = {}
        for start in range(0, len(numbers), _BATCH):
            if self._cancelled():
                return None
            batch = numbers[start : start + _BATCH]
            maps = self.extractor.embed(load_batch(self.drawn, batch, 1, self.device))
            for k, number in enumerate(batch):
                trials[number] = self._trial(known[number], [m[k : k + 1] for m in maps])
        return dict(sorted(trials.items(), key=lambda item: -item[1].error))

    def _coarse(self, plain: Mapping[int, PoseTrial]) -> dict[int, list[PoseTrial]] | None:
        """Coarse trials of the images that match worst, of all where one of them is turned; None if cancelled."""
        started = time.monotonic()
        found: dict[int, list[PoseTrial]] = {}
        usual = float(np.median([trial.error for trial in plain.values()])) if plain else 0.0
        ordinary = 0
        for number, trial in plain.items():
            if self._cancelled():
                return None
            # Foreign images match worst of all, and say nothing of the others.
            if trial.error <= _FOREIGN * usual:
                if ordinary >= _TESTED and not self._is_mixed(plain, found):
                    break
                ordinary += 1
            late = self.seconds is not None and time.monotonic() - started > self.seconds
            if late and len(found) >= _TESTED:
                break
            found[number] = self._search(number).coarse()
            self._report(len(found) / len(plain))
        return found

    def _is_mixed(self, plain: Mapping[int, PoseTrial], coarse: Mapping[int, Sequence[PoseTrial]]) -> bool:
        return any(
            self._is_turned(plain[number], trials[0], share=_CLEAR) for number, trials in coarse.items()
        )

    def _annotated_pose(self, image: Template) -> Pose | None:
        """Pose in which annotated landmarks lie as the template's do; None where they do as the image is drawn."""
        number, template = image.index, self.annotated[0].positions
        if (~np.isnan(template + image.positions)).all(1).sum() < _FEWEST_SHARED:
            return None
        search, geometry = self._search(number), self.upright.geometry(number)
        native = self.drawn.canvas_transform(number).to_native(image.positions)
        upright = fit_canvas_transform(geometry, self._canvas).to_working(native)
        bounds = [part.including(upright) for part in search.bounds]
        residuals: dict[float, list[Pose]] = {}
        for pose in coarse_poses(bounds, mirror=search.mirror):
            rows = self.sides.rows(self.names, mirrored=pose.is_mirrored)
            posed = fit_canvas_transform(geometry, self._canvas, pose).to_working(native)[rows]
            residuals.setdefault(round(_shape_residual(template, posed), 9), []).append(pose)
        plain, inverted = (search.evaluate(pose) for pose in residuals[min(residuals)][:2])
        chosen = (inverted if self._is_turned(plain, inverted, share=_LESS) else plain).pose
        is_same = np.allclose(chosen.matrix, chosen.scale * np.eye(chosen.ndim)) and not chosen.inverted
        return None if is_same else chosen

    @cached_property
    def _descriptors(self) -> Descriptors:
        return describe_templates(self.extractor, self.drawn, self.annotated[:1], self.device)

    @property
    def _canvas(self) -> tuple[int, ...]:
        return tuple(self.upright.canvas)

    def _is_turned(self, plain: PoseTrial, trial: PoseTrial, *, share: float) -> bool:
        """Whether another pose is better, and good: an embedding that learned nothing tells no pose.

        `share` is the limit for another orientation.
        """
        if not _turn(plain.pose, trial.pose).is_turned:
            share = _CLEARLY_LESS
        return trial.error < min(share * plain.error, _LARGEST_ERROR * max(self._canvas))

    def _trial(self, pose: Pose, maps: Sequence[torch.Tensor]) -> PoseTrial:
        """Trial of a pose from the feature maps of the image drawn in it."""
        match = match_templates(self.extractor, self._descriptors, maps)
        errors = match_error(similarity=match.similarity, cycle=match.cycle_error, canvas=self._canvas)
        shown = ~np.isnan(self.annotated[0].positions[:, 0])
        positions = np.where(shown[:, None], match.positions, np.nan)
        return PoseTrial(pose, float(errors[shown].mean()), positions, errors)

    def _search(self, number: int) -> PoseSearch:
        upright = self.upright.working(number)
        bounds = [ContentBounds.of_image(self.upright.geometry(number), self._canvas, upright)]
        evaluate = EmbeddingTrials(upright, self.extractor, self._descriptors, self.device)
        mirror = self.sides.mirroring is not Mirroring.NEVER
        return PoseSearch(evaluate, bounds, self.annotated[0].positions, mirror)

    def _report(self, fraction: float) -> None:
        if self.progress:
            self.progress(ProgressEvent(_STAGE, fraction))

    def _cancelled(self) -> bool:
        return self.cancel is not None and self.cancel.cancelled


def _turn(first: Pose, second: Pose) -> Pose:
    """Rotation, reflection and inversion between two poses."""
    matrix = np.linalg.inv(first.matrix / first.scale) @ second.matrix / second.scale
    return Pose(matrix, np.zeros(len(matrix)), first.inverted != second.inverted)


def _shape_residual(template: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """Root mean square distance of two shapes (n, d) of size 1 that are centred but not turned."""
    known = ~np.isnan(template + found).any(1)
    shapes = [points[known] - points[known].mean(0) for points in (template, found)]
    first, second = (shape / max(1e-9, float(np.sqrt(np.square(shape).sum(1).mean()))) for shape in shapes)
    return float(np.sqrt(np.square(first - second).sum(1).mean()))
