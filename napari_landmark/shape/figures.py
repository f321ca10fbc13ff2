"""Figures of a shape analysis: superimposition, scores, thin-plate grids of the components and of odd images."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from napari_landmark.data.errors import InputError
from napari_landmark.shape.analysis import ShapeAnalysis
from napari_landmark.shape.procrustes import Array, fit_to
from napari_landmark.shape.thin_plate import ThinPlateSpline

_BLUE, _GREY, _RED, _GRID = "#1f6fb2", "#8a8a8a", "#c0392b", "#9db4c8"
_COLUMNS, _POINTS_A_LINE = 18, 60  # of a thin-plate grid
_MARGIN = 0.12  # of the shape's extent, around the grid
_MOST_DOTS = 20_000
_MOST_NAMED = 12  # points with a name in the plot of scores
_MOST_ODD = 6
_VIEWS = (
    (2, 1),
    (2, 0),
    (1, 0),
)  # horizontal and vertical axis of the views of a volume, in array axis order


def shape_figures(analysis: ShapeAnalysis) -> Iterator[tuple[str, Figure]]:
    """Figures with a name each, in the order of a report."""
    yield "superimposition", superimposition_figure(analysis)
    yield "scores", scores_figure(analysis)
    for component in range(min(2, len(analysis.components.variances))):
        yield f"component_{component + 1}", component_figure(analysis, component)
    if any(shape.finding for shape in analysis.odd_shapes):
        yield "odd_shapes", odd_shapes_figure(analysis)


def figure_png(figure: Figure, *, dpi: int = 120) -> bytes:
    """A figure as PNG."""
    stream = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(stream, format="png", dpi=dpi)
    return stream.getvalue()


def figures_pdf(figures: Sequence[Figure], *, title: str) -> bytes:
    """Figures as a PDF of one page each."""
    stream = io.BytesIO()
    with PdfPages(stream, metadata={"Title": title}) as pages:
        for figure in figures:
            pages.savefig(figure)
    return stream.getvalue()


def superimposition_figure(analysis: ShapeAnalysis) -> Figure:
    """Procrustes coordinates of all images, with the mean shape."""
    shapes, mean = analysis.superimposition.coordinates, analysis.superimposition.mean
    step = max(1, shapes.shape[0] * shapes.shape[1] // _MOST_DOTS)
    figure, panels = _panels(mean)
    for axes, (across, down) in panels:
        dots = shapes[::step].reshape(-1, shapes.shape[2])
        axes.plot(dots[:, across], dots[:, down], ".", color=_BLUE, alpha=0.35, markersize=3, zorder=1)
        axes.plot(mean[:, across], mean[:, down], "o", color=_RED, markersize=4, zorder=3)
        _name_landmarks(axes, mean, analysis.configurations.names, across, down)
        _as_image(axes, upright=_is_upright(mean, down))
    figure.suptitle(f"Procrustes superimposition of {len(shapes)} images", fontsize=11)
    return figure


def scores_figure(analysis: ShapeAnalysis) -> Figure:
    """Scores of the first two components, those farthest from the middle with the name of their image."""
    components, images = analysis.components, analysis.configurations.images
    scores, shares = components.scores, components.shares
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    axes, bars = figure.subplots(1, 2, width_ratios=(2, 1))
    second = scores[:, 1] if scores.shape[1] > 1 else np.zeros(len(scores))
    axes.plot(scores[:, 0], second, ".", color=_BLUE, markersize=5)
    far = np.argsort(-np.hypot(scores[:, 0], second))[:_MOST_NAMED]
    for row in far.tolist():
        axes.annotate(
            images[row],
            (scores[row, 0], second[row]),
            (4, 3),
            textcoords="offset points",
            fontsize=6,
            color="#444444",
            parse_math=False,
        )
    axes.axhline(0, color=_GREY, linewidth=0.6)
    axes.axvline(0, color=_GREY, linewidth=0.6)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(f"PC1 ({100 * shares[0]:.1f}% of the variance)")
    axes.set_ylabel(f"PC2 ({100 * shares[1]:.1f}%)" if len(shares) > 1 else "")
    count = min(10, len(shares))
    bars.bar(range(1, count + 1), 100 * shares[:count], color=_BLUE)
    bars.set_xticks(range(1, count + 1))
    bars.set(xlabel="component", ylabel="share of the variance, %")
    return figure


def component_figure(analysis: ShapeAnalysis, component: int, *, deviations: float = 3.0) -> Figure:
    """Thin-plate grids from the mean shape to both ends of a component."""
    components, mean = analysis.components, analysis.superimposition.mean
    share = 100 * components.shares[component]
    views = _views(mean)
    height = sum(_height(mean, view, 4.8) for view in views)
    figure = Figure(figsize=(10, height + 0.9), layout="constrained")
    panels = figure.subplots(len(views), 2, squeeze=False)
    for column, sign in enumerate((-1, 1)):
        target = components.shape_at(component, sign * deviations)
        for row, view in enumerate(views):
            draw_thin_plate_grid(panels[row, column], mean, target, view)
        panels[0, column].set_title(
            f"{'−' if sign < 0 else '+'}{deviations:g} standard deviations", fontsize=10
        )
    figure.suptitle(
        f"PC{component + 1}, {share:.1f}% of the variance: from the mean shape (grey)", fontsize=11
    )
    return figure


def odd_shapes_figure(analysis: ShapeAnalysis) -> Figure:
    """Deviations of the oddest images from the mean shape, landmark by landmark."""
    mean, names = analysis.superimposition.mean, analysis.configurations.names
    shown = [shape for shape in analysis.odd_shapes if shape.finding][:_MOST_ODD]
    rows = {image: row for row, image in enumerate(analysis.configurations.images)}
    shown = [shape for shape in shown if shape.image in rows]
    across, down = _views(mean)[0]
    lines = max(1, -(-len(shown) // 3))
    height = lines * (_height(mean, (across, down), 3.2) + 0.5) + 0.5
    figure = Figure(figsize=(10, height), layout="constrained")
    panels = figure.subplots(lines, 3, squeeze=False).ravel()
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    for axes, shape in zip(panels, shown, strict=False):
        row = rows[shape.image]
        odd = {*shape.odd_landmarks, *(name for pair in shape.exchanged for name in pair)}
        weights = np.array([[0.0 if name in odd else 1.0 for name in names]])
        if weights.sum() < 3:
            weights[:] = 1.0
        fitted = fit_to(mean, analysis.configurations.positions[row : row + 1], weights)[0]
        axes.add_collection(
            LineCollection([*np.stack([mean, fitted], 1)[:, :, [across, down]]], colors=_RED, linewidths=0.9)
        )
        axes.plot(mean[:, across], mean[:, down], "o", color=_GREY, markersize=3)
        axes.plot(fitted[:, across], fitted[:, down], "o", color=_BLUE, markersize=3)
        for name in odd:
            axes.annotate(
                name, fitted[names.index(name)][[across, down]], (3, 3), textcoords="offset points", fontsize=6,
                color=_RED, parse_math=False,
            )  # fmt: skip
        axes.set_title(f"{shape.image}\n{_shortened(shape.finding)}", fontsize=7, parse_math=False)
        axes.autoscale_view()
        _as_image(axes, upright=_is_upright(mean, down))
    figure.suptitle("Odd shapes (blue) and the mean shape (grey)", fontsize=11)
    return figure


def draw_thin_plate_grid(axes: Axes, source: Array, target: Array, view: tuple[int, int] = (1, 0)) -> None:
    """Draw a square grid around one shape as the thin-plate spline to another one bends it.

    Parameters
    ----------
    axes : Axes
    source, target : (k, d) array
        Shapes in array axis order. Of volumes the grid is drawn in the plane of the view.
    view : tuple of int
        Axis that is drawn horizontally and the one that is drawn vertically.
    """
    plane = list(view)
    flat, bent = source[:, plane], target[:, plane]
    try:
        spline = ThinPlateSpline.between(flat, bent)
    except InputError:  # all landmarks on one line in this view
        axes.text(0.5, 0.5, "no grid: the landmarks are on a line", transform=axes.transAxes, ha="center")
        axes.set_axis_off()
        return
    low, high = flat.min(axis=0), flat.max(axis=0)
    pad = _MARGIN * (high - low).max()
    step = float((high - low).max() + 2 * pad) / _COLUMNS
    cells = np.ceil((high - low + 2 * pad) / step - 1e-9)
    low = (low + high - cells * step) / 2
    high = low + cells * step
    lines = []
    for axis in (0, 1):
        other = 1 - axis
        for value in np.linspace(low[axis], high[axis], int(cells[axis]) + 1):
            points = np.empty((_POINTS_A_LINE, 2))
            points[:, axis] = value
            points[:, other] = np.linspace(low[other], high[other], _POINTS_A_LINE)
            lines.append(spline(points))
    axes.add_collection(LineCollection(lines, colors=_GRID, linewidths=0.7, zorder=1))
    axes.add_collection(LineCollection([*np.stack([flat, bent], 1)], colors=_RED, linewidths=1.1, zorder=3))
    axes.plot(flat[:, 0], flat[:, 1], "o", color=_GREY, markersize=3, zorder=2)
    axes.plot(bent[:, 0], bent[:, 1], "o", color=_BLUE, markersize=4, zorder=4)
    axes.autoscale_view()
    _as_image(axes, upright=_is_upright(source, plane[1]))


def _is_upright(shape: Array, down: int) -> bool:
    """Whether an axis points upwards: that from slice to slice of a volume."""
    return shape.shape[1] == 3 and down == 0


def _views(shape: Array) -> tuple[tuple[int, int], ...]:
    return ((1, 0),) if shape.shape[1] == 2 else _VIEWS


def _height(shape: Array, view: tuple[int, int], width: float) -> float:
    """Height in inches of a panel of a width, for the extent of a shape."""
    across, down = (float(np.ptp(shape[:, axis])) for axis in view)
    return width * min(2.0, max(0.25, (down + 0.2 * across) / (1.2 * across if across > 0 else 1.0)))


def _panels(shape: Array) -> tuple[Figure, list[tuple[Axes, tuple[int, int]]]]:
    views = _views(shape)
    width = 7.5 if len(views) == 1 else 12.0
    height = max(_height(shape, view, width / len(views)) for view in views) + 0.5
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(1, len(views), squeeze=False).ravel()
    return figure, list(zip(panels, views, strict=True))


def _name_landmarks(axes: Axes, mean: Array, names: Sequence[str], across: int, down: int) -> None:
    size = 8 if len(names) <= 30 else 5
    for name, position in zip(names, mean, strict=True):
        axes.annotate(
            name,
            (position[across], position[down]),
            (4, 4),
            textcoords="offset points",
            fontsize=size,
            color="#333333",
            zorder=4,
            parse_math=False,
        )


def _as_image(axes: Axes, *, upright: bool = False) -> None:
    """Axes as those of an image: one scale, no ticks, y downwards unless `upright`."""
    axes.set_aspect("equal")
    if not upright and not axes.yaxis_inverted():
        axes.invert_yaxis()
    axes.set(xticks=[], yticks=[])


def _shortened(text: str) -> str:
    return text if len(text) <= 70 else f"{text[:67]}..."
