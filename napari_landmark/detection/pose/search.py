"""Search for the pose of one image: candidates are tried, the best ones refined, and the best of all is returned."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_landmark.data.cohort.pose import Pose
from napari_landmark.detection.pose.candidates import ContentBounds, coarse_poses, scaled
from napari_landmark.detection.pose.similarity import fit_similarity

_REFINED = 5  # of the coarse candidates, no two of them alike
_ALIKE_ANGLE, _ALIKE_SCALE = 15.0, 1.2
_REFINEMENTS = 4
_SCALES = (0.6, 1.6, 2.2)
_SCALED = 3  # candidates that other scales are tried of
_GOOD = 1.3  # times the usual error: the search ends
_INNER_SCALES = (0.4, 2.5)  # of a refinement; beyond, the fit is none
_SCATTERED = 0.5  # median distance from a fitted template over its extent, where positions are no shape of it
_LARGEST_ANGLE, _LARGEST_SCALE = 20.0, 1.3  # of found landmarks, up to which an image is taken as it is


@dataclass(frozen=True, eq=False)
class PoseTrial:
    """Landmarks found in one pose.

    Parameters
    ----------
    pose : Pose
    error : float
        Mean expected error in pixels of the working grid.
    positions : (n, d) array
        On the working grid in that pose; NaN where unknown.
    errors : (n,) array
        Expected error of each.
    """

    pose: Pose
    error: float
    positions: NDArray[np.float64]
    errors: NDArray[np.float64]

    @property
    def score(self) -> float:
        """Number by which poses are compared, the less the better.

        Geometric mean of the mean expected error and that of the better half of the landmarks: an image may show a
        part of the anatomy, and a few good landmarks are no pose.
        """
        known = np.sort(self.errors[~np.isnan(self.errors)])
        if not len(known):
            return math.inf
        return math.sqrt(float(known.mean() * known[: (len(known) + 1) // 2].mean()))

    def to_template(self, template: NDArray[np.float64], canvas: tuple[int, ...]) -> Pose | None:
        """Pose of the found landmarks relative to the template's (n, d) on the working grid; None where none fits."""
        weights = 1 / np.square(np.maximum(np.nan_to_num(self.errors, nan=np.inf), 1e-3))
        inner = fit_similarity(template, self.positions, canvas, weights)
        if inner is None or not _INNER_SCALES[0] < inner.scale < _INNER_SCALES[1]:
            return None
        return inner

    def is_scattered(self, template: NDArray[np.float64], canvas: tuple[int, ...]) -> bool:
        """Whether no pose brings the template's landmarks near the found ones, as where a network knows little."""
        inner = self.to_template(template, canvas)
        if inner is None:
            return True
        centre = (np.asarray(canvas) - 1) / 2
        moved = (template - centre) @ inner.matrix.T + inner.shift * max(canvas) + centre
        extent = math.sqrt(float(np.nanvar(moved, axis=0).sum()))
        return float(np.nanmedian(np.linalg.norm(moved - self.positions, axis=1))) > _SCATTERED * extent

    def is_off(self, template: NDArray[np.float64], canvas: tuple[int, ...]) -> bool:
        """Whether the found landmarks are turned or scaled by more than the networks are trained for."""
        inner = self.to_template(template, canvas)
        return inner is not None and (
            abs(inner.angle) > _LARGEST_ANGLE or not 1 / _LARGEST_SCALE < inner.scale < _LARGEST_SCALE
        )


Evaluate = Callable[[Pose], PoseTrial]
"""Finds the landmarks in an image that is drawn in a pose."""


@dataclass(frozen=True)
class PoseSearch:
    """Search for the pose with the least expected error.

    Parameters
    ----------
    evaluate : callable
    bounds : sequence of ContentBounds
        Of the image, and of its part inside uniform borders where it has some.
    template : (n, d) array
        Landmarks of the template on the working grid.
    mirror : bool
        Whether the image may be a mirror image.
    """

    evaluate: Evaluate
    bounds: Sequence[ContentBounds]
    template: NDArray[np.float64]
    mirror: bool = True

    def coarse(self, *, between: bool = False) -> list[PoseTrial]:
        """Trials at quarter turns, or half-way between them; mirrored or not, of both contrasts; the best first."""
        poses = coarse_poses(self.bounds, mirror=self.mirror, between=between)
        return _ranked([self.evaluate(pose) for pose in poses])

    def finish(self, trials: Sequence[PoseTrial], usual: float) -> PoseTrial:
        """The first of `best`."""
        return self.best(trials, usual)[0]

    def best(self, trials: Sequence[PoseTrial], usual: float) -> list[PoseTrial]:
        """Best trials after trials of other angles and scales as far as they are needed, the best one first.

        Parameters
        ----------
        trials : sequence of PoseTrial
            Of `coarse`, not empty.
        usual : float
            Expected error that is usual for images of the cohort.
        """
        good = _GOOD * usual
        trials = _ranked(trials)
        if trials[0].score <= good:
            return [self.refined(trials[0])]
        if len(self.bounds[0].canvas) == 2:
            trials = _ranked([*trials, *self.coarse(between=True)])
        trials = _distinct(trials)
        refined = _ranked([self.refined(trial) for trial in trials[:_REFINED]])
        if refined[0].score <= good:
            return _distinct(refined)
        others = [
            self.refined(self.evaluate(scaled(trial.pose, factor)))
            for trial in trials[:_SCALED]
            for factor in _SCALES
        ]
        return _distinct(_ranked([*refined, *others]))

    def first_good(self, known: PoseTrial, candidates: Sequence[PoseTrial], usual: float) -> PoseTrial:
        """The known trial or the best one in the poses of candidates, tried in order until one is good.

        Parameters
        ----------
        known : PoseTrial
        candidates : sequence of PoseTrial
            Of a search with a quicker function.
        usual : float
            Expected error that is usual for images of the cohort.
        """
        trials = [known]
        for candidate in candidates:
            trials.append(self.refined(self.evaluate(candidate.pose)))
            if trials[-1].score <= _GOOD * usual:
                break
        return _ranked(trials)[0]

    def refined(self, trial: PoseTrial) -> PoseTrial:
        """The trial, or a better one in the pose of the similarity from the template's to the found landmarks."""
        for _ in range(_REFINEMENTS):
            inner = trial.to_template(self.template, self.bounds[0].canvas)
            if inner is None:
                return trial
            better = self.evaluate(trial.pose.then(inner))
            if better.score >= trial.score:
                return trial
            trial = better
        return trial


def _ranked(trials: Sequence[PoseTrial]) -> list[PoseTrial]:
    return sorted(trials, key=lambda trial: trial.score)


def _distinct(ranked: Sequence[PoseTrial]) -> list[PoseTrial]:
    """Trials without those whose pose is nearly that of a better one."""
    kept: list[PoseTrial] = []
    for trial in ranked:
        if not any(_are_alike(trial.pose, other.pose) for other in kept):
            kept.append(trial)
    return kept


def _are_alike(first: Pose, second: Pose) -> bool:
    change = np.linalg.inv(first.matrix) @ second.matrix
    if first.inverted != second.inverted or np.linalg.det(change) < 0:
        return False
    between = Pose(change, np.zeros(len(change)))
    return abs(between.angle) < _ALIKE_ANGLE and 1 / _ALIKE_SCALE < between.scale < _ALIKE_SCALE
