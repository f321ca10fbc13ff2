"""Choice of the templates for matching among many annotated images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_landmark.detection.detector.shape_model import shape_distances
from napari_landmark.detection.embedding.template_matching import Template

MOST_TEMPLATES = 10
"""Templates for matching; time and size of a model grow with each, accuracy hardly beyond a few."""
_MOST_CANDIDATES = 1000  # their pairwise distances are computed
_EQUAL_COVERAGE = 0.9  # candidates with at least this share of the best coverage are told apart by shape


def choose_templates(annotated: Sequence[Template], *, limit: int = MOST_TEMPLATES) -> list[Template]:
    """Templates for matching, in the given order; all images where they are few enough.

    The first image is always a template. The others are chosen one after the other: those that show the landmarks
    which the fewest templates show so far, and among these the one whose shape is nearest to the shapes of most images
    that no template resembles yet (greedy k-medoids). There is no chance in it.

    Parameters
    ----------
    annotated : sequence of Template
        All annotated images, the study's template first.
    limit : int
        Largest number of templates; exceeded only where a landmark would be shown by none of them.
    """
    if len(annotated) <= limit:
        return list(annotated)
    candidates = _candidates(annotated)
    positions = np.stack([template.positions for template in candidates])
    known = ~np.isnan(positions[..., 0])
    distances = shape_distances(positions)
    chosen, shown, nearest = [0], known[0].astype(int), distances[0]
    while len(chosen) < len(candidates):
        unseen = (shown == 0) & known.any(0)
        if len(chosen) >= limit and not unseen.any():
            break
        # A landmark that no template shows outweighs all the others together.
        coverage = known @ np.where(unseen, known.shape[1], 1 / (1 + shown))
        coverage[chosen] = -1
        equal = np.flatnonzero(coverage >= _EQUAL_COVERAGE * coverage.max())
        gain = np.maximum(nearest - distances[equal], 0).sum(1)
        best = int(equal[gain.argmax()])
        chosen.append(best)
        shown = shown + known[best]
        nearest = np.minimum(nearest, distances[best])
    return [candidates[number] for number in sorted(chosen)]


def _candidates(annotated: Sequence[Template]) -> list[Template]:
    """At most some `_MOST_CANDIDATES` annotated images, the first one included, that show all landmarks together."""
    if len(annotated) <= _MOST_CANDIDATES:
        return list(annotated)
    numbers = set(np.linspace(0, len(annotated) - 1, _MOST_CANDIDATES).round().astype(int).tolist())
    known = np.stack([~np.isnan(template.positions[:, 0]) for template in annotated])
    for landmark in np.flatnonzero(known.any(0) & ~known[sorted(numbers)].any(0)):
        numbers.add(int(known[:, landmark].argmax()))
    return [annotated[number] for number in sorted(numbers)]
