"""Figures of a report of measurements: tracing of an image, deviations from the norms, histogram of a cohort."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from napari_landmark.data.error_covariance import isotropic, principal_axes, region_radius
from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.display import display_range
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.measurement_language.definition import Construction, Norm
from napari_landmark.data.planes import Plane, orthogonal_planes
from napari_landmark.measurement.evaluation import MeasuredValue, construction_points

PLANE_COLOR = "#ffcf3f"
LINK_COLOR = "#58c9ff"
_LONGEST_SIDE = 1400  # pixels that are drawn
_TURN = np.linspace(0, 2 * math.pi, 49)
_CIRCLE = np.stack([np.sin(_TURN), np.cos(_TURN)], axis=1)  # (49, 2) as y, x
CHART_LIMIT = 4.0
"""Standard deviations at the ends of a chart of deviations."""


def draw_tracing(
    axes: Axes,
    landmarks: LandmarkSet,
    geometry: Geometry | None,
    array: NDArray | None,
    constructions: Sequence[Construction] = (),
    *,
    numbered: bool = True,
) -> None:
    """Draw a picture with its landmarks, the 90% regions of predicted ones, links and constructed lines.

    Parameters
    ----------
    axes : Axes
        Get the proportions of the image in mm.
    landmarks : LandmarkSet
        Of a picture.
    geometry : Geometry, optional
        None where the image is not known.
    array : array, optional
        Pixels of the image; None where it cannot be shown.
    constructions : sequence of Construction, optional
        Points and lines to draw, such as planes of a cephalogram.
    numbered : bool, optional
        Whether landmarks have their numbers in the schema.
    """
    spacing = np.array(geometry.spacing if geometry is not None and geometry.spacing else (1.0, 1.0))
    if array is not None:
        step = max(1, math.ceil(max(array.shape) / _LONGEST_SIDE))
        low, high = display_range(array)
        extent = (-0.5, array.shape[1] - 0.5, array.shape[0] - 0.5, -0.5)
        axes.imshow(array[::step, ::step], cmap="gray", vmin=low, vmax=high, extent=extent)
    _draw_skeleton(
        axes, landmarks, landmarks.positions(2), _covariances(landmarks, geometry), spacing, constructions,
        numbered=numbered,
    )  # fmt: skip
    _finish(axes, spacing, None if array is None else array.shape)


def draw_projection(
    axes: Axes, landmarks: LandmarkSet, geometry: Geometry | None, array: NDArray | None, plane: Plane
) -> None:
    """Draw a volume as a radiograph, its landmarks and links, looking through all slices along a plane.

    Parameters
    ----------
    axes : Axes
    landmarks : LandmarkSet
        Of a volume.
    geometry : Geometry, optional
    array : array, optional
    plane : Plane
        Of the volume, see `projection_planes`.
    """
    shape = None
    if array is not None:
        low, high = display_range(array, percentiles=(1.0, 99.9))
        flat = plane.oriented(np.clip(array, low, high).mean(axis=plane.axis))
        low, high = display_range(flat, percentiles=(1.0, 99.9))
        axes.imshow(flat, cmap="gray", vmin=low, vmax=high)
        shape = flat.shape
    kept = [plane.row_axis, plane.column_axis]
    turned = np.array([-1.0 if plane.row_flipped else 1.0, -1.0 if plane.column_flipped else 1.0])
    regions = _covariances(landmarks, geometry)[:, kept][:, :, kept] * np.outer(turned, turned)
    points = plane.to_plane(landmarks.positions(3))
    spacing = np.array(plane.spacing)
    _draw_skeleton(axes, landmarks, points, regions, spacing, (), numbered=len(landmarks) <= 30)
    _finish(axes, spacing, shape)
    anatomical = bool(plane.letters[0])
    axes.set_title(plane.title if anatomical else f"Along {plane.name}", fontsize=8)
    places = ((0.5, 0.97, "center"), (0.5, 0.03, "center"), (0.02, 0.5, "left"), (0.98, 0.5, "right"))
    for letters, (x, y, side) in zip(plane.letters, places, strict=True):
        axes.annotate(letters, (x, y), xycoords="axes fraction", ha=side, va="center", fontsize=7,
                      color="white", path_effects=[withStroke(linewidth=1.6, foreground="black")])  # fmt: skip


def projection_planes(geometry: Geometry | None) -> tuple[Plane, Plane, Plane]:
    """Planes in which a volume is drawn: axial, coronal, sagittal, or across the axes where its pose is unknown."""
    return orthogonal_planes(geometry or Geometry((1, 1, 1)))


def _finish(axes: Axes, spacing: NDArray[np.float64], shape: tuple[int, ...] | None) -> None:
    """Proportions in mm, and the image alone where there is one: large regions do not make it small."""
    axes.set_aspect(spacing[0] / spacing[1])
    axes.set_axis_off()
    if shape is not None:
        axes.set_xlim(-0.5, shape[1] - 0.5)
        axes.set_ylim(shape[0] - 0.5, -0.5)
    elif not axes.yaxis_inverted():
        axes.margins(0.08)
        axes.invert_yaxis()


def _draw_skeleton(
    axes: Axes,
    landmarks: LandmarkSet,
    points: NDArray[np.float64],
    covariances: NDArray[np.float64],
    spacing: NDArray[np.float64],
    constructions: Sequence[Construction],
    *,
    numbered: bool,
) -> None:
    schema = landmarks.schema
    rows = {name: row for row, name in enumerate(schema.names)}
    for construction in constructions:
        ends = construction_points(construction, schema.names, points * spacing)
        if ends is not None:
            (y0, x0), (y1, x1) = (end / spacing for end in ends)
            axes.plot([x0, x1], [y0, y1], color=PLANE_COLOR, linewidth=0.9, linestyle=(0, (4, 2)), alpha=0.9)
    for first, second in schema.drawn_segments:
        pair = points[[rows[first], rows[second]]]
        axes.plot(pair[:, 1], pair[:, 0], color=LINK_COLOR, linewidth=1.1, alpha=0.85)
    deviations, directions = principal_axes(covariances)
    radius = region_radius(0.9, 2)
    for number, (name, mark) in enumerate(landmarks.items(), 1):
        y, x = points[rows[name]]
        if not math.isfinite(y):
            continue
        color = schema.colors[rows[name]]
        region = points[rows[name]] + radius * (_CIRCLE * deviations[rows[name]]) @ directions[rows[name]].T
        if np.isfinite(region).all():
            axes.plot(region[:, 1], region[:, 0], color=color, linewidth=0.7, alpha=0.8)
        marker = "o" if mark.status.is_manual else "D"
        axes.plot(x, y, marker, markersize=3.2, color=color, markeredgecolor="black", markeredgewidth=0.4)
        if numbered:
            axes.annotate(
                str(number),
                (x, y),
                (3, 2),
                textcoords="offset points",
                fontsize=6.5,
                color="white",
                path_effects=[withStroke(linewidth=1.6, foreground="black")],
            )


def _covariances(landmarks: LandmarkSet, geometry: Geometry | None) -> NDArray[np.float64]:
    """(n, ndim, ndim) covariances in squared pixels: alike in all directions in mm where only errors are known."""
    ndim = landmarks.ndim or 2
    found = landmarks.covariances(ndim)
    spacing = np.array(geometry.spacing if geometry is not None and geometry.spacing else (1.0,) * ndim)
    scale = float(np.exp(np.log(spacing).mean())) / spacing  # expected errors are in pixels of mean size
    known = np.asarray(np.isfinite(found).all((-1, -2)))
    return np.where(
        known[:, None, None], found, isotropic(landmarks.expected_errors(), ndim) * np.outer(scale, scale)
    )


@dataclass(frozen=True)
class DeviationMark:
    """Deviation of a value from its norm as a chart shows it.

    Parameters
    ----------
    value : float
        In standard deviations of the norm, at most `CHART_LIMIT` to either side.
    interval : tuple of float, optional
        Ends of the 90% interval in the same unit and limits.
    beyond : int
        -1 or 1 where the value is beyond the chart to that side, else 0.
    color : str
    """

    value: float
    interval: tuple[float, float] | None
    beyond: int
    color: str


def deviation_mark(measured: MeasuredValue) -> DeviationMark | None:
    """Mark of a value in a chart of deviations; None without mean and standard deviation of a norm."""
    deviation, norm = measured.deviation, measured.norm
    if deviation is None or norm is None or norm.mean is None or norm.sd is None:
        return None
    ends = None
    if measured.interval is not None:
        low, high = (_limited((end - norm.mean) / norm.sd) for end in measured.interval)
        ends = (low, high)
    beyond = int(math.copysign(1, deviation)) if abs(deviation) > CHART_LIMIT else 0
    color = "#2b7a3d" if abs(deviation) <= 1 else "#c98a00" if abs(deviation) <= 2 else "#c0392b"
    return DeviationMark(_limited(deviation), ends, beyond, color)


def _limited(deviation: float) -> float:
    return max(-CHART_LIMIT, min(CHART_LIMIT, deviation))


def draw_deviation(axes: Axes, y: float, measured: MeasuredValue) -> None:
    """Draw one line of a chart of deviations; values beyond `CHART_LIMIT` are drawn at it as an arrow."""
    mark = deviation_mark(measured)
    if mark is None:
        return
    if mark.interval is not None:
        axes.plot(mark.interval, [y, y], color=mark.color, linewidth=1.2)
    shape, size = ("o", 4) if not mark.beyond else (">" if mark.beyond > 0 else "<", 5)
    axes.plot(mark.value, y, shape, color=mark.color, markersize=size, clip_on=False)


def draw_histogram(
    axes: Axes, values: NDArray[np.float64], current: float | None = None, norm: Norm | None = None
) -> None:
    """Draw the distribution of a measurement in a cohort, with one value in red and the norm in green."""
    finite = values[np.isfinite(values)]
    axes.set_facecolor("none")
    if norm is not None and norm.ends is not None:
        axes.axvspan(*norm.ends, color="#2b7a3d", alpha=0.18, linewidth=0)
    if len(finite):
        axes.hist(
            finite, bins=min(30, max(5, round(math.sqrt(len(finite))))), color="#8fb8d8", edgecolor="white"
        )
    if current is not None:
        axes.axvline(current, color="#c0392b", linewidth=1.6)
    axes.set_yticks([])
    axes.tick_params(labelsize=5.5, length=2, pad=1)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
