"""Regions of predictions as the corrections of a study calibrate them, and how many corrections they have held."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_landmark.calibration.corrections import Corrections
from napari_landmark.calibration.region_calibration import (
    FEWEST_IMAGES,
    RegionCalibration,
    calibrate_regions,
    choose_checks,
    representation_weights,
)
from napari_landmark.gui.session.landmark_store import LandmarkStore
from napari_landmark.gui.session.session import Session

_FEW_TYPICAL = 0.25  # part of the cohort, by stated error, below which the best corrected image shall reach

# Corrected images that regions are fitted to, evenly chosen: more tell hardly more, and a thousand take half a second.
_MOST_FITTED = 60


@dataclass(frozen=True)
class RegionCoverage:
    """What the corrections of a study tell of the regions of its predictions.

    Attributes
    ----------
    calibration : RegionCalibration or None
        Of the regions by images that a person corrected since the model was trained; None while too few.
    text : str
        How many corrections the regions as stated have held, and which images a random check would ask for.
    """

    calibration: RegionCalibration | None = None
    text: str = ""


def region_coverage(session: Session) -> RegionCoverage:
    """What the corrections of the session's study tell; kept until a landmark changes."""
    store = session.landmark_store
    if store is None or session.require_study().reader:
        return RegionCoverage()
    state = store.revision, session.models.learned_images, id(session.cohort)
    kept = _KEPT.get(store)
    if kept is None or kept[0] != state:
        _KEPT[store] = kept = state, _tell(session)
    return kept[1]


def region_factor(session: Session, landmark: str) -> float | None:
    """Factor on the standard deviations of a landmark, fitted to the corrections of the study; None while too few."""
    calibration = region_coverage(session).calibration
    if calibration is None:
        return None
    return float(calibration.factors[session.require_study().schema.index(landmark)])


_KEPT: weakref.WeakKeyDictionary[LandmarkStore, tuple[tuple[int, frozenset[str], int], RegionCoverage]] = (
    weakref.WeakKeyDictionary()
)


def _tell(session: Session) -> RegionCoverage:
    images = _corrected(session)
    if not images:
        return RegionCoverage()
    corrections = session.require_store().corrections(images, session.require_cohort().ndim)
    scores = corrections.scores
    known = np.isfinite(scores)
    if not known.any():
        return RegionCoverage()
    count = len(images)
    corrected = int(known.sum())
    marks = "correction" if corrected == 1 else f"{corrected} corrections"
    text = f"90% regions held {np.mean(scores[known] <= 1):.0%} of your {marks} in {count} "
    text += "image" if count == 1 else "images"
    if count < FEWEST_IMAGES:
        more = FEWEST_IMAGES - count
        text += f"; after {more} more {'image' if more == 1 else 'images'} they are fitted to them."
        return RegionCoverage(text=text)
    text += ", and are fitted to them."
    row_of = {image: row for row, image in enumerate(session.names)}
    rows = np.array([row_of[image] for image in images])
    errors = _stated_errors(session, rows, corrections)
    ranks = np.argsort(np.argsort(errors))[rows]
    if ranks.min() > _FEW_TYPICAL * len(errors):  # only the worst ones were corrected
        checks = [session.names[row] for row in choose_checks(errors, rows)]
        text += f" All of these were among the worse ones. Correct some at random: {', '.join(checks)}."
    fitted = np.arange(0, count, -(-count // _MOST_FITTED))
    weights = representation_weights(rows[fitted], errors)
    ratios = corrections.error_ratios
    return RegionCoverage(calibrate_regions(scores[fitted], ratios[fitted], weights=weights), text)


def _corrected(session: Session) -> list[str]:
    """Images with an annotation that the newest model has not learned."""
    store, learned = session.require_store(), session.models.learned_images
    return [image for image in store.annotated_among(session.names) if image not in learned]


def _stated_errors(
    session: Session, rows: NDArray[np.int64], corrections: Corrections
) -> NDArray[np.float64]:
    """(n,) mean stated error of every image of the study, NaN where nothing is predicted."""
    stated = session.require_store().expected_errors(session.names)
    errors = np.array([stated[name][0] for name in session.names])
    errors[~np.isfinite(errors)] = np.nan
    known = np.isfinite(corrections.expected_errors)
    means = np.where(known, corrections.expected_errors, 0).sum(1) / np.maximum(known.sum(1), 1)
    errors[rows] = np.where(known.any(1), means, np.nan)
    return errors
