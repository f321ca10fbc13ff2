"""Figures of a report of measurements: tracing of an image, deviations from the norms, histogram of a cohort."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from napari_landmark.data.geometry import Geometry
from napari_landmark.data.images.display import display_range
from napari_landmark.data.landmarks import LandmarkSet
from napari_landmark.data.links import segments
from napari_landmark.data.measurement_language.definition import Construction
from napari_landmark.measurement.evaluation import MeasuredValue, construction_points

PLANE_COLOR = "#ffcf3f"
LINK_COLOR = "#58c9ff"
_LONGEST_SIDE = 1400  # pixels that are drawn
_RADIUS_90 = math.sqrt(-2 * math.log(0.1)) / math.sqrt(math.pi / 2)  # of a mean radial error, Rayleigh
_AXIS_NAMES = ("z", "y", "x")


def draw_tracing(
    axes: Axes,
    landmarks: LandmarkSet,
    geometry: Geometry | None,
    array: NDArray | None,
    constructions: Sequence[Construction] = (),
    *,
    numbered: bool = True,
) -> None:
    """Draw a picture with its landmarks, their 90% circles, links and constructed lines.

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
    _draw_skeleton(axes, landmarks, landmarks.positions(2), spacing, constructions, numbered=numbered)
    axes.set_aspect(spacing[0] / spacing[1])
    axes.set_axis_off()
    if array is None and not axes.yaxis_inverted():
        axes.margins(0.08)
        axes.invert_yaxis()


def draw_projection(
    axes: Axes, landmarks: LandmarkSet, geometry: Geometry | None, array: NDArray | None, axis: int
) -> None:
    """Draw a volume, its landmarks and links, looking along one axis; brightest voxels are in front.

    Parameters
    ----------
    axes : Axes
    landmarks : LandmarkSet
        Of a volume.
    geometry : Geometry, optional
    array : array, optional
    axis : int
        Array axis along which it is looked.
    """
    kept = [number for number in range(3) if number != axis]
    spacing = np.array(geometry.spacing if geometry is not None and geometry.spacing else (1.0,) * 3)[kept]
    if array is not None:
        low, high = display_range(array, percentiles=(1.0, 99.9))
        flat = array.max(axis=axis)
        axes.imshow(flat, cmap="gray", vmin=low, vmax=high)
    points = landmarks.positions(3)[:, kept]
    _draw_skeleton(axes, landmarks, points, spacing, (), numbered=len(landmarks) <= 30)
    axes.set_aspect(spacing[0] / spacing[1])
    axes.set_axis_off()
    axes.set_title(f"along {_AXIS_NAMES[axis]}", fontsize=8)
    if array is None and not axes.yaxis_inverted():
        axes.invert_yaxis()


def _draw_skeleton(
    axes: Axes,
    landmarks: LandmarkSet,
    points: NDArray[np.float64],
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
    for first, second in segments(schema.links):
        pair = points[[rows[first], rows[second]]]
        axes.plot(pair[:, 1], pair[:, 0], color=LINK_COLOR, linewidth=1.1, alpha=0.85)
    mean_spacing = float(np.exp(np.log(spacing).mean()))
    for number, (name, mark) in enumerate(landmarks.items(), 1):
        y, x = points[rows[name]]
        if not math.isfinite(y):
            continue
        color = schema.colors[rows[name]]
        if mark.expected_error:
            radius = _RADIUS_90 * mark.expected_error * mean_spacing / spacing
            ring = Ellipse(
                (x, y), 2 * radius[1], 2 * radius[0], fill=False, edgecolor=color, linewidth=0.7, alpha=0.8
            )
            axes.add_patch(ring)
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


def draw_deviation(axes: Axes, y: float, measured: MeasuredValue, *, limit: float = 4.0) -> None:
    """Draw one line of a chart of deviations in standard deviations of the norm, with the 90% interval.

    Values beyond `limit` are drawn at it as an arrow.
    """
    deviation, norm = measured.deviation, measured.norm
    if deviation is None or norm is None or norm.sd is None:
        return
    color = "#2b7a3d" if abs(deviation) <= 1 else "#c98a00" if abs(deviation) <= 2 else "#c0392b"
    if measured.interval is not None:
        ends = [(end - (norm.mean or 0.0)) / norm.sd for end in measured.interval]
        axes.plot(np.clip(ends, -limit, limit), [y, y], color=color, linewidth=1.2)
    if abs(deviation) > limit:
        axes.plot(
            math.copysign(limit, deviation), y, ">" if deviation > 0 else "<", color=color, markersize=5
        )
    else:
        axes.plot(deviation, y, "o", color=color, markersize=4)


def draw_histogram(axes: Axes, values: NDArray[np.float64], current: float | None = None) -> None:
    """Draw the distribution of a measurement in a cohort, with one value marked."""
    finite = values[np.isfinite(values)]
    if len(finite):
        axes.hist(
            finite, bins=min(30, max(5, round(math.sqrt(len(finite))))), color="#8fb8d8", edgecolor="white"
        )
    if current is not None:
        axes.axvline(current, color="#c0392b", linewidth=1.6)
    axes.set_yticks([])
    axes.tick_params(labelsize=6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
