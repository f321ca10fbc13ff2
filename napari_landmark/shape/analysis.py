"""Shape analysis of a cohort: superimposition, variation and odd shapes together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_landmark.data.sides import Sides
from napari_landmark.shape.components import ShapeComponents, principal_components
from napari_landmark.shape.configurations import Configurations, MissingLandmarks
from napari_landmark.shape.outliers import ShapeOutliers, find_shape_outliers
from napari_landmark.shape.procrustes import Array, Superimposition, generalized_procrustes


@dataclass(frozen=True, eq=False)
class OddShape:
    """What is odd about one image.

    Parameters
    ----------
    image : str
    oddness : float
        Root mean square of the deviations of its landmarks, in robust standard deviations; NaN where unknown.
    worst : str
        Landmark that deviates most; empty where unknown.
    deviation : float
        Its deviation.
    odd_landmarks : tuple of str
        Landmarks beyond the limit, the largest deviation first.
    exchanged : tuple of pair of str
        Landmarks that seem to have each other's position.
    sides_exchanged, mirrored : bool
    """

    image: str
    oddness: float
    worst: str
    deviation: float
    odd_landmarks: tuple[str, ...]
    exchanged: tuple[tuple[str, str], ...]
    sides_exchanged: bool
    mirrored: bool

    @property
    def finding(self) -> str:
        """The finding in words; empty where nothing is odd."""
        if self.sides_exchanged:
            return "left and right seem exchanged, or the image mirrored"
        if self.mirrored:
            return "seems a mirror image of the others"
        if self.exchanged:
            return "; ".join(f"{first} and {second} seem exchanged" for first, second in self.exchanged)
        if self.odd_landmarks:
            return f"far from where the others have it: {', '.join(self.odd_landmarks)}"
        return ""


@dataclass(frozen=True, eq=False)
class ShapeAnalysis:
    """Result of `analyse_shapes`.

    Parameters
    ----------
    configurations : Configurations
        Those that were superimposed, without missing landmarks.
    left_out : mapping of str to tuple of str
        Images that were not, with the names of their missing landmarks.
    superimposition : Superimposition
    components : ShapeComponents
    outliers : ShapeOutliers
        Of all images, those that were left out included.
    odd_shapes : tuple of OddShape
        All images, the oddest first.
    """

    configurations: Configurations
    left_out: Mapping[str, tuple[str, ...]]
    superimposition: Superimposition
    components: ShapeComponents
    outliers: ShapeOutliers
    odd_shapes: tuple[OddShape, ...]

    @property
    def landmark_scatter(self) -> Array:
        """(k,) root mean square distance of each landmark from its mean, in units of the centroid size."""
        residuals = self.superimposition.coordinates - self.superimposition.mean
        return np.sqrt((residuals**2).sum(axis=2).mean(axis=0))


def analyse_shapes(
    configurations: Configurations,
    *,
    missing: MissingLandmarks = MissingLandmarks.LEAVE_OUT,
    sides: Sides | None = None,
    reflections: bool = False,
) -> ShapeAnalysis:
    """Superimpose configurations, and describe their variation and which are odd.

    Parameters
    ----------
    configurations : Configurations
    missing : MissingLandmarks, optional
        Treatment of images in which landmarks are missing.
    sides : Sides, optional
        Pairs of left and right landmarks; by default those that the names tell.
    reflections : bool, optional
        Whether mirror images are reflected.

    Raises
    ------
    InputError
        Too few images have all landmarks, or all landmarks of an image coincide.
    """
    complete = configurations.complete(missing)
    superimposition = generalized_procrustes(complete.positions, reflections=reflections)
    outliers = find_shape_outliers(
        configurations.positions,
        side_pairs=side_rows(configurations.names, sides),
        reflections=reflections,
    )
    used = set(complete.images)
    lost = configurations.missing
    return ShapeAnalysis(
        complete,
        {image: lost[image] for image in configurations.images if image not in used},
        superimposition,
        principal_components(superimposition),
        outliers,
        odd_shapes(configurations.images, configurations.names, outliers),
    )


def side_rows(names: Sequence[str], sides: Sides | None = None) -> list[tuple[int, int]]:
    """Rows of the pairs of left and right landmarks, of given sides or as the names tell."""
    pairs = (sides if sides is not None and sides.pairs else Sides.of_names(names)).pairs
    rows = {name: row for row, name in enumerate(names)}
    return [(rows[first], rows[second]) for first, second in pairs if first in rows and second in rows]


def odd_shapes(images: Sequence[str], names: Sequence[str], outliers: ShapeOutliers) -> tuple[OddShape, ...]:
    """What is odd about each image, the oddest first."""
    oddness, worst = outliers.oddness, outliers.worst
    made = []
    for row in outliers.order.tolist():
        deviations = outliers.deviations[row]
        known = not np.isnan(oddness[row])
        odd = [k for k in np.argsort(-np.nan_to_num(deviations, nan=-1.0)) if deviations[k] > outliers.limit]
        made.append(
            OddShape(
                image=images[row],
                oddness=float(oddness[row]),
                worst=names[worst[row]] if known else "",
                deviation=float(deviations[worst[row]]) if known else float("nan"),
                odd_landmarks=tuple(names[k] for k in odd),
                exchanged=tuple(
                    (names[pair.first], names[pair.second]) for pair in outliers.exchanges.get(row, ())
                ),
                sides_exchanged=bool(outliers.sides_exchanged[row]),
                mirrored=bool(outliers.mirrored[row]),
            )
        )
    return tuple(made)
